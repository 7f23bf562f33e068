//! The update that Choir's clients really make: LoRA on queries and values, and the head, trained
//! with AdamW by the tab's own trainer. Only the sum of such updates is ever sent unmasked.

use choir_shared::ids::Digest;
use choir_shared::task::{AdapterLayout, PartKind, Target, TaskConfig, workload};

use super::AttackError;
use super::observation::{Contribution, norm, side_by_side};
use super::texts::Text;
use crate::adapter::initial::{Sources, centroid_head, initial_adapter};
use crate::engine::cpu::CpuKernels;
use crate::native::HEAD_SCALE;
use crate::native::base::{Base, CpuEngine};
use crate::train::Trainer;
use crate::train::batch::Examples;

/// As in the demo.
const LEARNING_RATE: f32 = 2e-3;
/// Texts that are embedded between two looks at the clock.
const CHUNK: usize = 128;

/// A client with the adapter's current version.
pub(super) struct Client {
    trainer: Trainer<CpuEngine>,
    version: Vec<f32>,
    dim: usize,
}

impl Client {
    /// A client at version 0 with a zero head.
    pub(super) fn new(base: &Base, task: TaskConfig) -> Result<Self, AttackError> {
        let dim = task.base.shape.dim as usize;
        let layout = AdapterLayout::new(&task)?;
        let version = initial_adapter(&task, &layout, Sources::default())?;
        let engine = CpuEngine::new(CpuKernels::new());
        let mut trainer = Trainer::with_encoder(engine, task, base.encoder())?;
        trainer.set_adapter(&version)?;
        Ok(Self {
            trainer,
            version,
            dim,
        })
    }

    /// Pooled embeddings at the current version, `[texts, dim]`.
    pub(super) fn embeddings(
        &mut self,
        texts: &[Text],
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<f32>, AttackError> {
        let mut embeddings = Vec::with_capacity(texts.len() * self.dim);
        for (done, chunk) in texts.chunks(CHUNK).enumerate() {
            progress(done * CHUNK);
            embeddings.extend(pollster::block_on(self.trainer.pooled(&examples(chunk)?))?);
        }
        Ok(embeddings)
    }

    /// Starts the head from the class centroids of embedded texts, and yields its weight.
    pub(super) fn set_centroids(
        &mut self,
        texts: &[Text],
        embeddings: &[f32],
    ) -> Result<Vec<f32>, AttackError> {
        let labels = self.trainer.task().labels.len();
        let mut payload = vec![0.0; labels * (self.dim + 1)];
        for (text, embedding) in texts.iter().zip(embeddings.chunks_exact(self.dim)) {
            let length = norm(embedding).max(f64::MIN_POSITIVE) as f32;
            let row = &mut payload[text.label as usize * self.dim..][..self.dim];
            row.iter_mut()
                .zip(embedding)
                .for_each(|(sum, value)| *sum += value / length);
        }
        let head = centroid_head(&payload, self.dim, labels, HEAD_SCALE)?;
        if let Some(part) = self.trainer.layout().part(PartKind::HeadWeight) {
            self.version[part.range.clone()].copy_from_slice(&head);
        }
        self.trainer.set_adapter(&self.version)?;
        Ok(head)
    }

    /// Trains the version further on public texts, so that B is no longer zero.
    pub(super) fn train(
        &mut self,
        texts: &[Text],
        steps: usize,
        seed: u64,
    ) -> Result<(), AttackError> {
        self.trainer.set_examples(examples(texts)?, seed);
        for _ in 0..steps {
            pollster::block_on(self.trainer.step())?;
        }
        self.version = pollster::block_on(self.trainer.adapter())?;
        Ok(self.trainer.set_adapter(&self.version)?)
    }

    /// The gradient of one text: the update of one step of plain gradient descent.
    pub(super) fn gradient(&mut self, text: &Text) -> Result<Contribution, AttackError> {
        let examples = examples(core::slice::from_ref(text))?;
        let gradient = pollster::block_on(self.trainer.gradient(&examples))?.gradient;
        Ok(self.contribution(&gradient))
    }

    /// What an attacker makes of the update of so many local steps of AdamW on one text: minus the
    /// update over the step size, without the decay, which is known.
    pub(super) fn update(&mut self, text: &Text, steps: u16) -> Result<Contribution, AttackError> {
        self.trainer.set_adapter(&self.version)?;
        self.trainer
            .set_examples(examples(core::slice::from_ref(text))?, 0);
        for _ in 0..steps {
            pollster::block_on(self.trainer.step())?;
        }
        let after = pollster::block_on(self.trainer.adapter())?;
        self.trainer.set_adapter(&self.version)?;
        let optimizer = self.trainer.task().training.optimizer;
        let decay = f32::from(steps) * optimizer.weight_decay;
        let moved: Vec<f32> = after
            .iter()
            .zip(&self.version)
            .map(|(after, before)| (before - after) / optimizer.learning_rate - decay * before)
            .collect();
        Ok(self.contribution(&moved))
    }

    fn contribution(&self, update: &[f32]) -> Contribution {
        let layout = self.trainer.layout();
        let slice = |kind| {
            layout
                .part(kind)
                .map_or(&[][..], |part| &update[part.range.clone()])
        };
        let a = [Target::Q, Target::V].map(|target| slice(PartKind::LoraA { layer: 0, target }));
        let inputs = side_by_side(&a, self.dim);
        Contribution {
            columns: inputs.len() / self.dim,
            inputs,
            second_inputs: Vec::new(),
            head: [slice(PartKind::HeadWeight), slice(PartKind::HeadBias)].concat(),
            norm: norm(update),
            coordinates: update.len(),
            embedding_rows: Vec::new(),
        }
    }
}

fn examples(texts: &[Text]) -> Result<Examples, AttackError> {
    let labels = texts.iter().map(|text| text.label).collect();
    let tokens = texts.iter().map(|text| text.tokens.as_slice());
    Ok(Examples::pack(tokens, labels)?)
}

/// The task of the clients under attack: LoRA of rank 8 on queries and values, and the head.
pub(super) fn task(labels: &[String], seed: u64) -> TaskConfig {
    let mut task = workload::encoder();
    task.name = "under attack".to_owned();
    task.labels = labels.to_vec();
    task.training.optimizer.learning_rate = LEARNING_RATE;
    task.seed = Digest::of(&seed.to_le_bytes()).0;
    task
}
