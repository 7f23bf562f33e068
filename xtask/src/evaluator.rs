//! The native evaluator, a process of its own: what a version is worth on the held-out examples,
//! version 0, and tabs trained alone for comparison.
//!
//! One JSON job per line in, one JSON answer per line out.

use crate::build::{Profile, Tool};
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::program;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The running evaluator; it ends when this is dropped.
pub(crate) struct Evaluator {
    process: Child,
    jobs: ChildStdin,
    answers: BufReader<ChildStdout>,
    model_dir: PathBuf,
}

/// How good a version is.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Quality {
    /// Fraction of right answers.
    pub(crate) accuracy: f64,
    /// Mean cross-entropy.
    pub(crate) loss: f64,
}

/// How well a decoder goes on with a text.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct TextScore {
    /// Mean of `-ln p` over tokens.
    pub(crate) loss: f64,
    /// Bits of a character.
    pub(crate) bits_per_character: f64,
}

/// An adapter in its task.
#[derive(Clone, Copy)]
pub(crate) struct Model<'a> {
    /// The task's configuration, as wire bytes.
    pub(crate) config: &'a Path,
    /// The adapter's flat vector.
    pub(crate) adapter: &'a Path,
    /// The head, where it is not trained.
    pub(crate) frozen_head: Option<&'a Path>,
}

/// What to train on, for how long, and what to score it on.
pub(crate) struct Lesson<'a> {
    /// To train on.
    pub(crate) examples: &'a Path,
    /// To score on.
    pub(crate) test: &'a Path,
    /// How many steps.
    pub(crate) steps: u32,
    /// Of the order of the examples.
    pub(crate) seed: u64,
}

impl Evaluator {
    /// Builds and starts it.
    ///
    /// # Errors
    /// `Program` where it does not compile.
    pub(crate) fn start(paths: &Paths) -> Outcome<Self> {
        let program = TOOL.build(paths)?;
        let log = paths.out.join("evaluator.log");
        let mut process = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).at(&log)?)
            .spawn()
            .map_err(|error| program::cannot_start(TOOL.name, &error))?;
        match (process.stdin.take(), process.stdout.take()) {
            (Some(jobs), Some(answers)) => Ok(Self {
                process,
                jobs,
                answers: BufReader::new(answers),
                model_dir: paths.model(),
            }),
            _ => Err(Failure::Check("the evaluator has no pipes".to_owned())),
        }
    }

    /// Its name and version, for reports.
    pub(crate) const fn name() -> &'static str {
        "native, CPU engine"
    }

    /// Writes version 0; its head is zero or made from published centroids.
    ///
    /// # Errors
    /// `Check` with what the evaluator says.
    pub(crate) fn version_zero(
        &mut self,
        config: &Path,
        centroids: Option<&Path>,
        out: &Path,
    ) -> Outcome<()> {
        let job = json!({
            "kind": "initial_adapter",
            "task": config,
            "centroids": centroids,
            "out": out,
        });
        self.ask::<Value>(job).map(drop)
    }

    /// Writes the centroid payload of some examples.
    ///
    /// # Errors
    /// `Check` with what the evaluator says.
    pub(crate) fn centroids(&mut self, config: &Path, examples: &Path, out: &Path) -> Outcome<()> {
        let job = json!({ "kind": "centroids", "task": config, "data": examples, "out": out });
        self.ask::<Value>(job).map(drop)
    }

    /// Accuracy and loss on some examples.
    ///
    /// # Errors
    /// `Check` with what the evaluator says.
    pub(crate) fn evaluate(&mut self, model: Model<'_>, examples: &Path) -> Outcome<Quality> {
        self.ask(json!({
            "kind": "evaluate",
            "task": model.config,
            "adapter": model.adapter,
            "frozen_head": model.frozen_head,
            "data": examples,
        }))
    }

    /// Trains on some examples alone, writes the adapter, and scores it on others.
    ///
    /// # Errors
    /// `Check` with what the evaluator says.
    pub(crate) fn train(
        &mut self,
        model: Model<'_>,
        lesson: &Lesson<'_>,
        out: &Path,
    ) -> Outcome<Quality> {
        self.ask(json!({
            "kind": "train_alone",
            "task": model.config,
            "adapter": model.adapter,
            "frozen_head": model.frozen_head,
            "data": lesson.examples,
            "test": lesson.test,
            "steps": lesson.steps,
            "seed": lesson.seed,
            "out": out,
        }))
    }

    /// Token ids of texts, cut to the task's length.
    ///
    /// # Errors
    /// `Check` with what the evaluator says.
    pub(crate) fn tokenize(&mut self, config: &Path, texts: &[&str]) -> Outcome<Vec<Vec<u32>>> {
        #[derive(Deserialize)]
        struct Answer {
            ids: Vec<Vec<u32>>,
        }
        let job = json!({ "kind": "tokenize", "task": config, "texts": texts });
        self.ask::<Answer>(job).map(|answer| answer.ids)
    }

    /// Token ids of passages, by a decoder's `tokenizer.json`.
    ///
    /// # Errors
    /// `Check` with what the evaluator says.
    pub(crate) fn tokenize_passages(
        &mut self,
        tokenizer: &Path,
        texts: &[&str],
    ) -> Outcome<Vec<Vec<u32>>> {
        #[derive(Deserialize)]
        struct Answer {
            ids: Vec<Vec<u32>>,
        }
        let job = json!({ "kind": "tokenize_passages", "tokenizer": tokenizer, "texts": texts });
        self.ask::<Answer>(job).map(|answer| answer.ids)
    }

    /// Writes the texts of the speakers with most to say into a folder: `speaker-0.txt` and so on, and
    /// `held-out.txt` of all of them; yields their names.
    ///
    /// # Errors
    /// `Check` with what the evaluator says.
    pub(crate) fn deal_speakers(
        &mut self,
        plays: &Path,
        speakers: usize,
        out: &Path,
    ) -> Outcome<Vec<String>> {
        #[derive(Deserialize)]
        struct Answer {
            names: Vec<String>,
        }
        let job =
            json!({ "kind": "deal_speakers", "data": plays, "speakers": speakers, "out": out });
        self.ask::<Answer>(job).map(|answer| answer.names)
    }

    /// Writes version 0 of a language task.
    ///
    /// # Errors
    /// `Check` with what the evaluator says.
    pub(crate) fn language_version_zero(&mut self, config: &Path, out: &Path) -> Outcome<()> {
        let job = json!({ "kind": "initial_language_adapter", "task": config, "out": out });
        self.ask::<Value>(job).map(drop)
    }

    /// Loss of a language task's adapter on a plain text; `base` is its weights and tokenizer.
    ///
    /// # Errors
    /// `Check` with what the evaluator says.
    pub(crate) fn score_text(
        &mut self,
        config: &Path,
        base: [&PathBuf; 2],
        adapter: &Path,
        text: &Path,
    ) -> Outcome<TextScore> {
        let [weights, tokenizer] = base;
        self.ask(json!({
            "kind": "score_text",
            "task": config,
            "weights": weights,
            "tokenizer": tokenizer,
            "adapter": adapter,
            "data": text,
        }))
    }

    fn ask<T: DeserializeOwned>(&mut self, mut job: Value) -> Outcome<T> {
        job["model_dir"] = json!(self.model_dir);
        let broken =
            |error: std::io::Error| Failure::Check(format!("the evaluator ended: {error}"));
        writeln!(self.jobs, "{job}").map_err(broken)?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(broken)?;
        let answer: Value = serde_json::from_str(&line)
            .map_err(|_| Failure::Check(format!("the evaluator answered {line:?} to {job}")))?;
        if let Some(error) = answer.get("error") {
            return Err(Failure::Check(format!(
                "the evaluator: {error} (job {job})"
            )));
        }
        serde_json::from_value(answer)
            .map_err(|error| Failure::Check(format!("the evaluator answered {line:?}: {error}")))
    }
}

impl Drop for Evaluator {
    fn drop(&mut self) {
        // Both fail only where the process is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

const TOOL: Tool = Tool {
    title: "native evaluator",
    feature: "native",
    name: "choir-evaluate",
    profile: Profile::Shared,
};
