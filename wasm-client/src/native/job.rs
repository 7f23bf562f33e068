//! The jobs, as they stand in JSON.

use std::path::PathBuf;

use serde::Deserialize;

/// One line of input.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Job {
    /// Accuracy and loss of an adapter on a file of labelled texts.
    Evaluate {
        /// Where to start.
        #[serde(flatten)]
        start: Start,
        /// CSV with the columns text and label (or category).
        data: PathBuf,
    },
    /// Training on one file alone, then accuracy and loss on another.
    TrainAlone {
        /// Where to start; `out` receives the trained values.
        #[serde(flatten)]
        start: Start,
        /// To train on.
        data: PathBuf,
        /// To measure on.
        test: PathBuf,
        /// How.
        #[serde(flatten)]
        training: Training,
    },
    /// Accuracy and loss of the head made of the class centroids of one file, on another.
    CentroidAccuracy {
        /// Where to start.
        #[serde(flatten)]
        start: Start,
        /// To make the centroids of.
        data: PathBuf,
        /// To measure on.
        test: PathBuf,
    },
    /// Writes the centroids payload of a file to `out`.
    Centroids {
        /// Where to start.
        #[serde(flatten)]
        start: Start,
        /// To make the centroids of.
        data: PathBuf,
    },
    /// Writes version 0 of the task's adapter to `out`.
    InitialAdapter {
        /// Where to start.
        #[serde(flatten)]
        start: Start,
    },
    /// Writes a file of plain text for each of the speakers with most to say, `speaker-0.txt` and so
    /// on, and `held-out.txt` of what all of them have to say in the end.
    DealSpeakers {
        /// Plays, as `language::speakers` reads them.
        data: PathBuf,
        /// How many speakers.
        speakers: usize,
        /// The folder of the files.
        out: PathBuf,
    },
    /// Writes version 0 of a language task's adapter to `out`.
    InitialLanguageAdapter {
        /// The task: JSON if the name ends so, else wire bytes.
        task: PathBuf,
        /// Where to write.
        out: PathBuf,
    },
    /// Loss of a language task's adapter on a plain text.
    ScoreText {
        /// The task.
        task: PathBuf,
        /// The weights, as the task names them.
        weights: PathBuf,
        /// The tokenizer.
        tokenizer: PathBuf,
        /// Values of the adapter, f32 little-endian.
        adapter: PathBuf,
        /// The text, passages between blank lines.
        data: PathBuf,
    },
    /// Token ids of passages, by a `tokenizer.json`.
    TokenizePassages {
        /// The file.
        tokenizer: PathBuf,
        /// The passages.
        texts: Vec<String>,
    },
    /// Token ids of texts, cut to the task's length.
    Tokenize {
        /// Where to start.
        #[serde(flatten)]
        start: Start,
        /// The texts.
        texts: Vec<String>,
    },
}

/// What every job starts from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Start {
    /// The task: JSON if the name ends so, else wire bytes.
    pub task: PathBuf,
    /// Folder with `model.safetensors` and `tokenizer.json`.
    pub model_dir: PathBuf,
    /// Values of the task's adapter, f32 little-endian; version 0 if there are none.
    #[serde(default)]
    pub adapter: Option<PathBuf>,
    /// Payload of a centroids task that version 0's head is made of; zero if there is none.
    #[serde(default)]
    pub centroids: Option<PathBuf>,
    /// Length of the head's columns made of centroids.
    #[serde(default)]
    pub head_scale: Option<f32>,
    /// Weight and bias of the head of a task that does not train it.
    #[serde(default)]
    pub frozen_head: Option<PathBuf>,
    /// Where to write.
    #[serde(default)]
    pub out: Option<PathBuf>,
}

/// How to train.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Training {
    /// Number of steps.
    pub steps: u32,
    /// Of the order of the examples.
    pub seed: u64,
    /// What to train; all that the task trains if it is not said. Parts left out stay as they
    /// start, LoRA and prompt that are left out are not there.
    #[serde(default)]
    pub parts: Option<Vec<TrainedPart>>,
}

/// A part of the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainedPart {
    /// All LoRA factors.
    Lora,
    /// The soft prompt.
    Prompt,
    /// The classifier.
    Head,
}
