//! The order of the payload's coordinates: one flat vector, the same in every client.

use alloc::vec::Vec;
use core::ops::Range;

use super::decoder_layout::{BottleneckPart, DecoderLayout, PromptEncoderPart};
use super::{
    AdapterConfig, DecoderNorm, DecoderTarget, LoraConfig, Payload, Target, TaskConfig, TaskError,
};
use crate::wire::limits;

/// What a part of the payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// LoRA's first factor, `[in, rank]`.
    LoraA {
        /// Block.
        layer: u32,
        /// Linear layer in it.
        target: Target,
    },
    /// LoRA's second factor, `[rank, out]`.
    LoraB {
        /// Block.
        layer: u32,
        /// Linear layer in it.
        target: Target,
    },
    /// Virtual tokens, `[num_virtual_tokens, dim]`.
    SoftPrompt,
    /// Classifier, `[dim, labels]`.
    HeadWeight,
    /// Classifier, `[1, labels]`.
    HeadBias,
    /// Sums of embeddings over examples, `[labels, dim]`.
    CentroidSums,
    /// Share of the examples, `[1, labels]`.
    CentroidCounts,
    /// LoRA's first factor in a decoder, `[in, rank]`.
    DecoderLoraA {
        /// Block.
        layer: u32,
        /// Linear layer in it.
        target: DecoderTarget,
    },
    /// LoRA's second factor in a decoder, `[rank, out]`.
    DecoderLoraB {
        /// Block.
        layer: u32,
        /// Linear layer in it.
        target: DecoderTarget,
    },
    /// What is added to a decoder's bias, `[1, out]`.
    DecoderBias {
        /// Block.
        layer: u32,
        /// Linear layer in it.
        target: DecoderTarget,
    },
    /// What is added to a norm's gain, `[1, dim]`, or `[1, head_dim]` of the norm of heads.
    DecoderNormGain(DecoderNorm),
    /// What is added to a norm's bias, `[1, dim]`.
    DecoderNormBias(DecoderNorm),
    /// A part of a block's bottleneck.
    Bottleneck {
        /// Block.
        layer: u32,
        /// Which.
        part: BottleneckPart,
    },
    /// Keys of virtual tokens, `[num_virtual_tokens, kv_heads·head_dim]`.
    PrefixKeys {
        /// Block.
        layer: u32,
    },
    /// Values of virtual tokens, `[num_virtual_tokens, kv_heads·head_dim]`.
    PrefixValues {
        /// Block.
        layer: u32,
    },
    /// A part of what makes the embeddings of virtual tokens.
    PromptEncoder(PromptEncoderPart),
}

/// One part of the payload: row-major, `range` in the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Where it lies.
    pub range: Range<usize>,
    /// Rows and columns.
    pub shape: [usize; 2],
}

/// Every part of a task's payload in order: for each layer and each target A then B, soft prompt,
/// head weight, head bias; or centroid sums, then counts; or what is trained of a decoder, in the order
/// of [`PartKind`]'s variants from [`PartKind::DecoderLoraA`] on, each by layer, and last what makes
/// the embeddings of virtual tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterLayout {
    parts: Vec<Part>,
    len: usize,
}

impl AdapterLayout {
    /// The layout of `task`'s payload.
    ///
    /// # Errors
    /// [`TaskError::PayloadSize`] if it is empty or does not fit an upload.
    pub fn new(task: &TaskConfig) -> Result<Self, TaskError> {
        let mut layout = Self {
            parts: Vec::new(),
            len: 0,
        };
        let dim = task.base.shape.dim as usize;
        match &task.payload {
            Payload::Adapter(adapter) => layout.push_adapter(task, adapter)?,
            Payload::Centroids => {
                layout.push(PartKind::CentroidSums, [task.labels.len(), dim])?;
                layout.push(PartKind::CentroidCounts, [1, task.labels.len()])?;
            }
            Payload::Language(language) => {
                let shape = &task.base.shape;
                DecoderLayout { shape, language }.push_to(&mut layout)?;
            }
        }
        if layout.len == 0 {
            return Err(TaskError::PayloadSize);
        }
        Ok(layout)
    }

    /// The parts in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part of this kind, if it is on.
    #[must_use]
    pub fn part(&self, kind: PartKind) -> Option<&Part> {
        self.parts.iter().find(|part| part.kind == kind)
    }

    /// Coordinates of the payload, the weight not counted.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a layout is never empty")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Coordinates of the masked vector: the payload, and last the weight.
    #[must_use]
    pub const fn ring_len(&self) -> usize {
        self.len + 1
    }

    fn push_adapter(
        &mut self,
        task: &TaskConfig,
        adapter: &AdapterConfig,
    ) -> Result<(), TaskError> {
        let dim = task.base.shape.dim as usize;
        if let Some(lora) = &adapter.lora {
            for layer in 0..task.base.shape.layers {
                self.push_lora_layer(task, lora, layer)?;
            }
        }
        if let Some(prompt) = &adapter.soft_prompt {
            self.push(
                PartKind::SoftPrompt,
                [usize::from(prompt.num_virtual_tokens), dim],
            )?;
        }
        if adapter.head {
            self.push(PartKind::HeadWeight, [dim, task.labels.len()])?;
            self.push(PartKind::HeadBias, [1, task.labels.len()])?;
        }
        Ok(())
    }

    fn push_lora_layer(
        &mut self,
        task: &TaskConfig,
        lora: &LoraConfig,
        layer: u32,
    ) -> Result<(), TaskError> {
        let rank = usize::from(lora.rank);
        for &target in &lora.targets {
            let [rows, columns] = target.shape(task);
            self.push(PartKind::LoraA { layer, target }, [rows, rank])?;
            self.push(PartKind::LoraB { layer, target }, [rank, columns])?;
        }
        Ok(())
    }

    pub(super) fn push(&mut self, kind: PartKind, shape: [usize; 2]) -> Result<(), TaskError> {
        let end = shape[0]
            .checked_mul(shape[1])
            .and_then(|size| size.checked_add(self.len))
            .filter(|&end| end < limits::MAX_COORDINATES)
            .ok_or(TaskError::PayloadSize)?;
        self.parts.push(Part {
            kind,
            range: self.len..end,
            shape,
        });
        self.len = end;
        Ok(())
    }
}

impl Target {
    /// All of them, in the payload's order.
    pub const ALL: [Self; 6] = [Self::Q, Self::K, Self::V, Self::O, Self::W1, Self::W2];

    /// `[in, out]` of this linear layer.
    #[must_use]
    pub const fn shape(self, task: &TaskConfig) -> [usize; 2] {
        let dim = task.base.shape.dim as usize;
        let intermediate = task.base.shape.intermediate as usize;
        match self {
            Self::Q | Self::K | Self::V | Self::O => [dim, dim],
            Self::W1 => [dim, intermediate],
            Self::W2 => [intermediate, dim],
        }
    }
}
