//! What of a decoder is trained, as views of one flat vector.

use std::collections::BTreeMap;

use choir_shared::task::{
    BottleneckConfig, DecoderAdapterConfig, DecoderLoraConfig, DecoderTarget, VirtualTokens,
    VirtualTokensConfig,
};

use super::prompt_encoder::PromptEncoder;
use super::tensors::{DecoderShape, DecoderTensor};
use crate::adapter::peft::{Factors, LoraMap};
use crate::engine::{LoraFactors, Parameter};
use crate::language::draws::Draws;

/// The two layers of a bottleneck.
#[derive(Clone, Debug, PartialEq)]
pub struct BottleneckParameters {
    /// `[dim, width]`.
    pub down: Parameter,
    /// `[1, width]`.
    pub down_bias: Parameter,
    /// `[width, dim]`.
    pub up: Parameter,
    /// `[1, dim]`.
    pub up_bias: Parameter,
}

/// The trained parts in the flat vector's order: for each block and each target A then B; biases by
/// block; norms by block and the last one; bottlenecks by block; keys, then values by
/// block; and last the soft prompt or what makes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecoderAdapter {
    /// LoRA factors by block and linear layer.
    pub lora: BTreeMap<(u32, DecoderTarget), LoraFactors>,
    /// `[1, columns]` by the frozen vector that they are added to; a bias may have none.
    pub vectors: BTreeMap<DecoderTensor, Parameter>,
    /// Bottlenecks by block.
    pub bottlenecks: BTreeMap<u32, BottleneckParameters>,
    /// Keys and values of virtual tokens by block, `[num_virtual_tokens, kv_heads·head_dim]` each.
    pub prefixes: BTreeMap<u32, [Parameter; 2]>,
    /// What makes the embeddings of virtual tokens.
    pub prompt_encoder: Option<PromptEncoder>,
    /// `[num_virtual_tokens, dim]`.
    pub prompt: Option<Parameter>,
    /// Part of the inputs of LoRA's factors that a step of training leaves out.
    pub lora_dropout: f32,
    /// Values of the flat vector.
    pub len: usize,
}

impl DecoderAdapter {
    /// The views of LoRA and a soft prompt; no prompt where there are no virtual tokens.
    pub fn new(shape: &DecoderShape, lora: &DecoderLoraConfig, num_virtual_tokens: u16) -> Self {
        let mut config = DecoderAdapterConfig::of_lora(lora.clone());
        config.virtual_tokens = (num_virtual_tokens > 0).then_some(VirtualTokensConfig {
            num_virtual_tokens,
            trained: VirtualTokens::SoftPrompt,
        });
        Self::of_config(shape, &config)
    }

    /// The views of all that is trained.
    pub fn of_config(shape: &DecoderShape, config: &DecoderAdapterConfig) -> Self {
        let mut adapter = Self::default();
        if let Some(lora) = &config.lora {
            adapter.append_lora(shape, lora);
        }
        for layer in 0..shape.layers {
            for &target in &config.biases {
                adapter.append_vector(shape, DecoderTensor::Bias(layer, target));
            }
        }
        if config.norms {
            DecoderTensor::all(shape)
                .into_iter()
                .filter(|tensor| tensor.is_of_norm())
                .for_each(|tensor| adapter.append_vector(shape, tensor));
        }
        if let Some(BottleneckConfig { width }) = config.bottleneck {
            let width = width as usize;
            for layer in 0..shape.layers {
                let layers = BottleneckParameters {
                    down: adapter.append([shape.dim, width]),
                    down_bias: adapter.append([1, width]),
                    up: adapter.append([width, shape.dim]),
                    up_bias: adapter.append([1, shape.dim]),
                };
                adapter.bottlenecks.insert(layer, layers);
            }
        }
        if let Some(tokens) = config.virtual_tokens {
            adapter.append_virtual_tokens(shape, tokens);
        }
        adapter
    }

    fn append_virtual_tokens(&mut self, shape: &DecoderShape, tokens: VirtualTokensConfig) {
        let count = usize::from(tokens.num_virtual_tokens);
        match tokens.trained {
            VirtualTokens::SoftPrompt => self.prompt = Some(self.append([count, shape.dim])),
            VirtualTokens::PromptEncoder { width } => {
                let width = width as usize;
                self.prompt_encoder = Some(PromptEncoder {
                    embeddings: self.append([count, width]),
                    hidden: self.append([width, width]),
                    hidden_bias: self.append([1, width]),
                    output: self.append([width, shape.dim]),
                    output_bias: self.append([1, shape.dim]),
                });
            }
            VirtualTokens::Prefix => self.append_prefixes(count, shape),
        }
    }

    fn append_lora(&mut self, shape: &DecoderShape, lora: &DecoderLoraConfig) {
        let rank = usize::from(lora.rank);
        self.lora_dropout = lora.dropout;
        for layer in 0..shape.layers {
            for &target in &lora.targets {
                let [inputs, outputs] = shape.linear(target);
                let factors = LoraFactors {
                    a: self.append([inputs, rank]),
                    b: self.append([rank, outputs]),
                    scale: lora.scale(),
                };
                self.lora.insert((layer, target), factors);
            }
        }
    }

    fn append_vector(&mut self, shape: &DecoderShape, tensor: DecoderTensor) {
        let vector = self.append(tensor.shape(shape));
        self.vectors.insert(tensor, vector);
    }

    /// The views of factors that came from elsewhere, and their flat vector.
    pub fn of_lora(
        factors: &LoraMap<(u32, DecoderTarget)>,
        shape: &DecoderShape,
    ) -> (Self, Vec<f32>) {
        let (mut adapter, mut flat) = (Self::default(), Vec::new());
        for (&(layer, target), part) in factors {
            let [inputs, outputs] = shape.linear(target);
            let views = LoraFactors {
                a: adapter.append([inputs, part.rank]),
                b: adapter.append([part.rank, outputs]),
                scale: part.scale,
            };
            flat.extend(part.a.iter().chain(&part.b));
            adapter.lora.insert((layer, target), views);
        }
        (adapter, flat)
    }

    /// The factors that a flat vector holds, to be given elsewhere.
    pub fn lora_map(&self, flat: &[f32]) -> LoraMap<(u32, DecoderTarget)> {
        let of = |(layer, views): (&(u32, DecoderTarget), &LoraFactors)| {
            let factors = Factors {
                a: flat[views.a.range.clone()].to_vec(),
                b: flat[views.b.range.clone()].to_vec(),
                rank: views.a.shape[1],
                scale: views.scale,
            };
            (*layer, factors)
        };
        self.lora.iter().map(of).collect()
    }

    /// Whether nothing but low-rank factors is trained, so that [`Self::lora_map`] has all of it.
    pub fn is_lora_alone(&self) -> bool {
        let factors = self.lora.values();
        let values = factors.map(|views| views.a.range.len() + views.b.range.len());
        values.sum::<usize>() == self.len
    }

    /// First values: A, a bottleneck's first matrix and those of a prompt encoder uniform within
    /// `√(3/inputs)`, keys, values and a prompt encoder's embeddings uniform within 1, a soft prompt
    /// within a half (Lester et al. 2021, section 3.2), all drawn by the seed; all else zero, so that
    /// without virtual tokens nothing changes yet (Hu et al. 2021, section 4.1; Houlsby et al. 2019,
    /// section 2.1).
    pub fn initial(&self, seed: u64) -> Vec<f32> {
        let mut draws = Draws::new("choir/lora", seed);
        let mut flat = vec![0.0; self.len];
        let factors = self.lora.values().map(|factors| &factors.a);
        let down = self.bottlenecks.values().map(|layers| &layers.down);
        let encoders = || self.prompt_encoder.iter();
        let layers = encoders().flat_map(|encoder| [&encoder.hidden, &encoder.output]);
        let bound = |matrix: &Parameter| (3.0 / matrix.shape[0] as f32).sqrt();
        let matrices = factors.chain(down).chain(layers);
        let embeddings = encoders().map(|encoder| &encoder.embeddings);
        let rows = self.prefixes.values().flatten().chain(embeddings);
        let bounded = matrices.map(|matrix| (matrix, bound(matrix)));
        let rows = rows.map(|rows| (rows, 1.0));
        let prompt = self.prompt.iter().map(|rows| (rows, 0.5));
        for (part, bound) in bounded.chain(rows).chain(prompt) {
            for value in &mut flat[part.range.clone()] {
                *value = (2.0 * draws.unit() as f32 - 1.0) * bound;
            }
        }
        flat
    }

    /// Whether nothing but keys and values of virtual tokens is trained.
    pub fn is_prefix_alone(&self) -> bool {
        let parts = self.prefixes.values().flatten();
        let values: usize = parts.map(|part| part.range.len()).sum();
        values > 0 && values == self.len
    }

    /// The views of keys and values of virtual tokens alone.
    pub fn of_prefix(num_virtual_tokens: usize, shape: &DecoderShape) -> Self {
        let mut adapter = Self::default();
        adapter.append_prefixes(num_virtual_tokens, shape);
        adapter
    }

    fn append_prefixes(&mut self, num_virtual_tokens: usize, shape: &DecoderShape) {
        let rows = [num_virtual_tokens, shape.kv_heads * shape.head_dim];
        for layer in 0..shape.layers {
            let keys_and_values = [self.append(rows), self.append(rows)];
            self.prefixes.insert(layer, keys_and_values);
        }
    }

    /// The views of a soft prompt alone.
    pub fn of_prompt(num_virtual_tokens: usize, shape: &DecoderShape) -> Self {
        let mut adapter = Self::default();
        adapter.prompt = Some(adapter.append([num_virtual_tokens, shape.dim]));
        adapter
    }

    /// Virtual tokens before each sequence; 0 where there are none.
    pub fn num_virtual_tokens(&self) -> u32 {
        let encoder = self.prompt_encoder.as_ref();
        let of_encoder = encoder.map(|encoder| &encoder.embeddings);
        let of_prefix = self.prefixes.values().flatten().next();
        let rows = self.prompt.as_ref().or(of_encoder).or(of_prefix);
        rows.map_or(0, |rows| rows.shape[0] as u32)
    }

    fn append(&mut self, shape: [usize; 2]) -> Parameter {
        let start = self.len;
        self.len += shape[0] * shape[1];
        Parameter {
            range: start..self.len,
            shape,
        }
    }
}
