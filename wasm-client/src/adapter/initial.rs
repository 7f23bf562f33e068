//! Version 0 of an adapter, the same wherever it is made: LoRA's A uniform from a ChaCha20 stream
//! of the task's seed, B zero, the prompt the word embeddings of token ids from that stream, the
//! head zero or class centroids; of a decoder's other parts see [`bound`].

use chacha20::cipher::StreamCipher;
use chacha20::{ChaCha20, KeyIvInit};
use choir_shared::task::{
    AdapterLayout, BottleneckPart, PartKind, Payload, PromptEncoderPart, TaskConfig,
};

use crate::engine::EngineError;

/// Nonces of the two streams.
const LORA: &[u8; 12] = b"choir/lora\0\0";
const PROMPT: &[u8; 12] = b"choir/prompt";

/// What version 0 takes from outside of the task.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sources<'a> {
    /// Word embeddings of [`prompt_tokens`], `[num_virtual_tokens, dim]`; needed with an encoder's prompt.
    pub prompt: &'a [f32],
    /// The head's weight from [`centroid_head`], `[dim, labels]`; zero if there is none.
    pub head: Option<&'a [f32]>,
}

/// The flat vector of version 0.
///
/// # Errors
/// [`EngineError::Shape`] if a source has another length than its part.
pub fn initial_adapter(
    task: &TaskConfig,
    layout: &AdapterLayout,
    sources: Sources<'_>,
) -> Result<Vec<f32>, EngineError> {
    let mut flat = vec![0.0; layout.len()];
    let mut stream = SeededStream::new(task, LORA);
    let is_language = matches!(task.payload, Payload::Language(_));
    for part in layout.parts() {
        let values = &mut flat[part.range.clone()];
        match part.kind {
            PartKind::SoftPrompt if !is_language => {
                copy("soft prompt", values, sources.prompt)?;
            }
            PartKind::HeadWeight => {
                if let Some(head) = sources.head {
                    copy("head", values, head)?;
                }
            }
            kind => {
                if let Some(bound) = bound(kind, part.shape[0]) {
                    values.fill_with(|| stream.symmetric() * bound);
                }
            }
        }
    }
    Ok(flat)
}

/// Within what a part is drawn, uniform; `None` where it begins at zero. Matrices after which another
/// one is zero are drawn with variance `1 / inputs`, as is a prompt encoder's; keys, values and a prompt
/// encoder's embeddings within 1, a soft prompt within a half (Lester et al. 2021, section 3.2).
fn bound(kind: PartKind, inputs: usize) -> Option<f32> {
    match kind {
        PartKind::LoraA { .. }
        | PartKind::DecoderLoraA { .. }
        | PartKind::Bottleneck {
            part: BottleneckPart::Down,
            ..
        }
        | PartKind::PromptEncoder(PromptEncoderPart::Hidden | PromptEncoderPart::Output) => {
            Some((3.0 / inputs as f32).sqrt())
        }
        PartKind::PrefixKeys { .. }
        | PartKind::PrefixValues { .. }
        | PartKind::PromptEncoder(PromptEncoderPart::Embeddings) => Some(1.0),
        PartKind::SoftPrompt => Some(0.5),
        _ => None,
    }
}

/// Token ids whose word embeddings the soft prompt starts from. The first sixteenth of the
/// vocabulary, where BERT's has unused entries and single characters, is left out.
pub fn prompt_tokens(task: &TaskConfig, layout: &AdapterLayout) -> Vec<u32> {
    let rows = layout
        .part(PartKind::SoftPrompt)
        .map_or(0, |part| part.shape[0]);
    let vocabulary = task.base.shape.vocabulary;
    let first = vocabulary / 16;
    let mut stream = SeededStream::new(task, PROMPT);
    (0..rows)
        .map(|_| first + stream.word() % (vocabulary - first))
        .collect()
}

/// A head from the payload of a centroids task, `[labels, dim]` sums and then `[labels]` counts:
/// column `c` is `scale` times the unit vector of class `c`'s sum, zero for a class without one.
///
/// # Errors
/// [`EngineError::Shape`] if the payload has another length.
pub fn centroid_head(
    payload: &[f32],
    dim: usize,
    labels: usize,
    scale: f32,
) -> Result<Vec<f32>, EngineError> {
    let expected = labels * (dim + 1);
    if payload.len() != expected {
        let found = payload.len();
        return Err(EngineError::Shape {
            what: "centroids".to_owned(),
            expected,
            found,
        });
    }
    let mut weight = vec![0.0; dim * labels];
    for (class, sum) in payload[..labels * dim].chunks_exact(dim).enumerate() {
        let norm = sum
            .iter()
            .map(|v| f64::from(*v).powi(2))
            .sum::<f64>()
            .sqrt() as f32;
        if norm > 0.0 {
            for (row, value) in sum.iter().enumerate() {
                weight[row * labels + class] = scale * value / norm;
            }
        }
    }
    Ok(weight)
}

fn copy(what: &str, into: &mut [f32], from: &[f32]) -> Result<(), EngineError> {
    if into.len() != from.len() {
        return Err(EngineError::Shape {
            what: what.to_owned(),
            expected: into.len(),
            found: from.len(),
        });
    }
    into.copy_from_slice(from);
    Ok(())
}

/// Little-endian words of a ChaCha20 key stream.
struct SeededStream(ChaCha20);

impl SeededStream {
    fn new(task: &TaskConfig, nonce: &[u8; 12]) -> Self {
        Self(ChaCha20::new(&task.seed.into(), &(*nonce).into()))
    }

    fn word(&mut self) -> u32 {
        let mut word = [0; 4];
        self.0.apply_keystream(&mut word);
        u32::from_le_bytes(word)
    }

    /// Uniform in `[-1, 1)`, 24 bits.
    fn symmetric(&mut self) -> f32 {
        (self.word() >> 8) as f32 / 8_388_608.0 - 1.0
    }
}
