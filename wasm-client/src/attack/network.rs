//! The encoder as an attacker needs it: its weights are trained, so that they have gradients, and
//! so are the embeddings of one sequence, so that a gradient can be matched.
//!
//! The same operations on the same engine as everywhere; only what counts as trained differs. One
//! flat vector holds the weights of the first blocks, then the head, then the sequence's rows.

use choir_shared::task::Target;

use super::AttackError;
use super::weights::BaseWeights;
use crate::engine::cpu::{CpuBuffer, CpuKernels};
use crate::engine::record::Value;
use crate::engine::{
    Activation, AttentionMask, Batch, Engine, LinearLayer, NormLayer, Parameter, Weight,
};
use crate::model::tensors::{EncoderTensor, NormPlace, linear_shape};
use crate::native::base::CpuEngine;

type Tensor = Value<CpuBuffer>;

/// Where a trained tensor lies in the flat vector.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// What it is.
    pub(super) place: Place,
    /// Range and shape.
    pub(super) parameter: Parameter,
}

/// A trained tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Of a linear layer.
    Weight(u32, Target),
    /// Of a linear layer.
    Bias(u32, Target),
    /// `[dim, labels]`.
    HeadWeight,
    /// `[1, labels]`.
    HeadBias,
}

/// What one sequence says about the weights.
#[derive(Clone, Debug)]
pub(super) struct Gradient {
    /// Of every trained tensor, in the flat order.
    pub(super) weights: Vec<f32>,
    /// Of the sequence's rows, `[tokens, dim]`.
    pub(super) embeddings: Vec<f32>,
}

struct Block {
    /// In the order of [`Target::ALL`].
    linear: Vec<LinearLayer<Tensor>>,
    attention_norm: NormLayer<Tensor>,
    mlp_norm: NormLayer<Tensor>,
}

/// The network and its engine.
pub(super) struct Network {
    engine: CpuEngine,
    dim: usize,
    heads: usize,
    norm: NormLayer<Tensor>,
    blocks: Vec<Block>,
    head: LinearLayer<Tensor>,
    parts: Vec<Part>,
    flat: Vec<f32>,
    /// Identity matrices by size.
    identities: Vec<(usize, Tensor)>,
}

impl Network {
    /// The encoder with gradients for its first `trained` blocks, and a head of `[dim, labels]`
    /// weights without bias.
    pub(super) fn new(base: &BaseWeights, head: &[f32], trained: u32) -> Result<Self, AttackError> {
        let shape = *base.shape();
        let dim = shape.dim as usize;
        let labels = head.len() / dim;
        let mut builder = Builder {
            engine: CpuEngine::new(CpuKernels::new()),
            base,
            parts: Vec::new(),
            flat: Vec::new(),
        };
        let norm = builder.norm(NormPlace::Embeddings)?;
        let blocks = (0..shape.layers)
            .map(|layer| builder.block(layer, layer < trained))
            .collect::<Result<_, _>>()?;
        let head = LinearLayer {
            weight: builder.trained(Place::HeadWeight, head, [dim, labels]),
            bias: Some(builder.trained(Place::HeadBias, &vec![0.0; labels], [1, labels])),
            trained_bias: None,
            lora: None,
            shape: [dim, labels],
        };
        let Builder {
            engine,
            parts,
            flat,
            ..
        } = builder;
        Ok(Self {
            engine,
            dim,
            heads: shape.heads as usize,
            norm,
            blocks,
            head,
            parts,
            flat,
            identities: Vec::new(),
        })
    }

    /// The trained tensors.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Their values.
    pub(super) fn weights(&self) -> &[f32] {
        &self.flat
    }

    /// The gradient of the loss on one sequence, given as rows, at these weights.
    pub(super) fn gradient(
        &mut self,
        weights: &[f32],
        embeddings: &[f32],
        label: u32,
    ) -> Result<Gradient, AttackError> {
        let rows = embeddings.len() / self.dim;
        self.engine.load_adapter(&[weights, embeddings].concat())?;
        let batch = Batch {
            tokens: vec![0; rows],
            token_starts: vec![0, rows as u32],
            labels: vec![label],
            num_virtual_tokens: 0,
            past: 0,
        };
        let identity = self.identity(rows)?;
        let leaf = LinearLayer {
            weight: Weight::Trained(Parameter {
                range: weights.len()..weights.len() + embeddings.len(),
                shape: [rows, self.dim],
            }),
            bias: None,
            trained_bias: None,
            lora: None,
            shape: [rows, self.dim],
        };
        let engine = &mut self.engine;
        engine.begin(&batch, true)?;
        let embedded = engine.linear(&identity, &leaf)?;
        let mut x = engine.norm(&embedded, None, &self.norm)?;
        for block in &self.blocks {
            x = block.forward(engine, &x, self.heads)?;
        }
        let pooled = engine.mean_pool(&x)?;
        let logits = engine.linear(&pooled, &self.head)?;
        engine.cross_entropy(&logits)?;
        engine.backward()?;
        let mut weights_gradient = pollster::block_on(engine.read_gradient())?;
        let embeddings = weights_gradient.split_off(weights.len());
        Ok(Gradient {
            weights: weights_gradient,
            embeddings,
        })
    }

    /// What the second block reads for each of these sequences of one length, given as the rows
    /// that the encoder starts from: `[rows, dim]`. For a network whose blocks are not trained.
    pub(super) fn second_inputs(
        &mut self,
        embeddings: &[f32],
        length: usize,
    ) -> Result<Vec<f32>, AttackError> {
        let rows = embeddings.len() / self.dim;
        let batch = Batch {
            tokens: vec![0; rows],
            token_starts: (0..=rows as u32).step_by(length).collect(),
            labels: Vec::new(),
            num_virtual_tokens: 0,
            past: 0,
        };
        let engine = &mut self.engine;
        engine.begin(&batch, false)?;
        let embedded = engine.frozen(embeddings, [rows, self.dim])?;
        let mut x = engine.norm(&embedded, None, &self.norm)?;
        for block in self.blocks.iter().take(1) {
            x = block.forward(engine, &x, self.heads)?;
        }
        Ok(pollster::block_on(engine.read(&x))?)
    }

    /// Squared lengths of `rows · matrix`, for `[count, dim]` rows and a `[dim, columns]` matrix.
    pub(super) fn squared_lengths(
        &mut self,
        rows: &[f32],
        matrix: &Tensor,
        columns: usize,
    ) -> Result<Vec<f64>, AttackError> {
        let count = rows.len() / self.dim;
        let layer = LinearLayer {
            weight: Weight::Frozen(matrix.clone()),
            bias: None,
            trained_bias: None,
            lora: None,
            shape: [self.dim, columns],
        };
        let batch = Batch {
            tokens: vec![0],
            token_starts: vec![0, 1],
            labels: Vec::new(),
            num_virtual_tokens: 0,
            past: 0,
        };
        self.engine.begin(&batch, false)?;
        let rows = self.engine.frozen(rows, [count, self.dim])?;
        let product = self.engine.linear(&rows, &layer)?;
        let values = pollster::block_on(self.engine.read(&product))?;
        Ok(values
            .chunks_exact(columns)
            .map(|row| row.iter().map(|x| f64::from(*x).powi(2)).sum())
            .collect())
    }

    /// A `[dim, columns]` matrix on the engine.
    pub(super) fn matrix(&mut self, values: &[f32], columns: usize) -> Result<Tensor, AttackError> {
        Ok(self.engine.frozen(values, [self.dim, columns])?)
    }

    fn identity(&mut self, size: usize) -> Result<Tensor, AttackError> {
        if let Some((_, known)) = self.identities.iter().find(|(known, _)| *known == size) {
            return Ok(known.clone());
        }
        let mut values = vec![0.0; size * size];
        values
            .iter_mut()
            .step_by(size + 1)
            .for_each(|value| *value = 1.0);
        let identity = self.engine.frozen(&values, [size, size])?;
        self.identities.push((size, identity.clone()));
        Ok(identity)
    }
}

impl Block {
    fn forward(
        &self,
        engine: &mut CpuEngine,
        x: &Tensor,
        heads: usize,
    ) -> Result<Tensor, AttackError> {
        let [q, k, v, o, w1, w2] = self.linear.as_slice() else {
            return Err(AttackError::Data("a block without its layers".to_owned()));
        };
        let (q, k, v) = (
            engine.linear(x, q)?,
            engine.linear(x, k)?,
            engine.linear(x, v)?,
        );
        let attended = engine.attention(&q, &k, &v, heads, AttentionMask::Bidirectional)?;
        let projected = engine.linear(&attended, o)?;
        let x = engine.norm(&projected, Some(x), &self.attention_norm)?;
        let inner = engine.linear(&x, w1)?;
        let activated = engine.activation(&inner, Activation::Gelu)?;
        let outer = engine.linear(&activated, w2)?;
        Ok(engine.norm(&outer, Some(&x), &self.mlp_norm)?)
    }
}

/// What is built so far.
struct Builder<'a> {
    engine: CpuEngine,
    base: &'a BaseWeights,
    parts: Vec<Part>,
    flat: Vec<f32>,
}

impl Builder<'_> {
    fn block(&mut self, layer: u32, trained: bool) -> Result<Block, AttackError> {
        let linear = Target::ALL
            .into_iter()
            .map(|target| self.linear(layer, target, trained))
            .collect::<Result<_, _>>()?;
        Ok(Block {
            linear,
            attention_norm: self.norm(NormPlace::Attention(layer))?,
            mlp_norm: self.norm(NormPlace::Mlp(layer))?,
        })
    }

    fn linear(
        &mut self,
        layer: u32,
        target: Target,
        trained: bool,
    ) -> Result<LinearLayer<Tensor>, AttackError> {
        let shape = linear_shape(self.base.shape(), target);
        let base = self.base;
        let weight = base.tensor(EncoderTensor::Weight(layer, target));
        let bias = base.tensor(EncoderTensor::Bias(layer, target));
        let bias_shape = [1, shape[1]];
        let (weight, bias) = if trained {
            (
                self.trained(Place::Weight(layer, target), weight, shape),
                self.trained(Place::Bias(layer, target), bias, bias_shape),
            )
        } else {
            (
                Weight::Frozen(self.engine.frozen(weight, shape)?),
                Weight::Frozen(self.engine.frozen(bias, bias_shape)?),
            )
        };
        Ok(LinearLayer {
            weight,
            bias: Some(bias),
            trained_bias: None,
            lora: None,
            shape,
        })
    }

    fn norm(&mut self, place: NormPlace) -> Result<NormLayer<Tensor>, AttackError> {
        let shape = self.base.shape();
        let dimensions = [1, shape.dim as usize];
        let eps = shape.norm_eps;
        let gain = self.base.tensor(EncoderTensor::NormGain(place));
        let bias = self.base.tensor(EncoderTensor::NormBias(place));
        Ok(NormLayer {
            gain: self.engine.frozen(gain, dimensions)?,
            bias: self.engine.frozen(bias, dimensions)?,
            eps,
        })
    }

    fn trained(&mut self, place: Place, values: &[f32], shape: [usize; 2]) -> Weight<Tensor> {
        let start = self.flat.len();
        self.flat.extend_from_slice(values);
        let parameter = Parameter {
            range: start..self.flat.len(),
            shape,
        };
        self.parts.push(Part {
            place,
            parameter: parameter.clone(),
        });
        Weight::Trained(parameter)
    }
}
