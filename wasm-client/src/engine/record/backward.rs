//! The record of a step, replayed backwards.

use super::tape::Entry;
use super::{Recorded, Value, ValueOf};
use crate::engine::kernels::decoder::DecoderKernels;
use crate::engine::kernels::{AttentionCall, AttentionGradient, NormGradient};
use crate::engine::{EngineError, LinearLayer, Weight};

/// The gradient of each entry's output, where there is one by now.
pub(super) type Gradients<K> = Vec<Option<ValueOf<K>>>;

impl<K: DecoderKernels> Recorded<K> {
    /// Walks the tape from the loss to the lowest trained parameter and empties it.
    pub(super) fn replay(&mut self) -> Result<(), EngineError> {
        let loss = self.loss.take().ok_or_else(|| EngineError::Shape {
            what: "losses to differentiate".to_owned(),
            expected: 1,
            found: 0,
        })?;
        let mut gradients: Gradients<K> = Vec::new();
        gradients.resize_with(self.tape.len(), || None);
        if let Some(node) = loss.node {
            gradients[node] = loss.gradient;
        }
        while let Some((node, entry)) = self.tape.pop() {
            match entry {
                // Its gradient waits for the entry before, which made both.
                Entry::SecondOutput => {}
                Entry::StreamNorm(norm) => self.replay_stream_norm(node, norm, &mut gradients)?,
                Entry::Rotate(turn) => self.replay_rotate(node, turn, &mut gradients)?,
                entry => {
                    if let Some(d_y) = gradients[node].take() {
                        self.replay_entry(node, entry, d_y, &mut gradients)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn replay_entry(
        &mut self,
        node: usize,
        entry: Entry<K::Buffer>,
        d_y: ValueOf<K>,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        match entry {
            Entry::Embedding { prompt } => self.kernels.prompt_gradient(d_y.buffer(), &prompt),
            Entry::Linear(entry) => self.replay_linear(node, entry, &d_y, gradients),
            Entry::Norm {
                x,
                residual,
                gain,
                normalized,
                rstd,
            } => {
                let norm = NormParts {
                    gain,
                    normalized,
                    rstd,
                };
                self.norm_gradients(node, x, residual, &norm, &d_y, gradients)
            }
            Entry::Attention {
                q,
                k,
                v,
                out,
                statistics,
                heads,
                mask,
            } => {
                let [rows, columns] = out.shape();
                let d_inputs = [
                    self.scratch(q.shape())?,
                    self.scratch(k.shape())?,
                    self.scratch(v.shape())?,
                ];
                let head_dim = columns / heads;
                self.kernels.attention_gradient(AttentionGradient {
                    forward: AttentionCall {
                        q: q.buffer(),
                        k: k.buffer(),
                        v: v.buffer(),
                        out: out.buffer(),
                        statistics: statistics.buffer(),
                        heads,
                        kv_heads: k.shape()[1] / head_dim,
                        head_dim,
                        mask,
                        rows,
                    },
                    d_out: d_y.buffer(),
                    d_q: d_inputs[0].buffer(),
                    d_k: d_inputs[1].buffer(),
                    d_v: d_inputs[2].buffer(),
                })?;
                let nodes = [q.node(), k.node(), v.node()];
                for (input, d_input) in nodes.into_iter().zip(d_inputs) {
                    if let Some(input) = input {
                        self.accumulate(input, d_input, gradients)?;
                    }
                }
                Ok(())
            }
            Entry::Activation { input, x, kind } => {
                let Some(input) = input else { return Ok(()) };
                let x = self.restore(x)?;
                let len = x.shape()[0] * x.shape()[1];
                let d_x = if d_y.is_unique() {
                    d_y.clone()
                } else {
                    self.scratch(x.shape())?
                };
                self.kernels.activation_gradient(
                    kind,
                    x.buffer(),
                    d_y.buffer(),
                    d_x.buffer(),
                    len,
                )?;
                drop(d_y);
                self.accumulate(input, d_x, gradients)
            }
            Entry::Swiglu { gate, up } => self.replay_swiglu(&gate, &up, &d_y, gradients),
            Entry::TrainedRows { rows } => {
                self.kernels.trained_values_gradient(d_y.buffer(), &rows)
            }
            Entry::ReplacedRows { input, rows } => {
                self.replay_replaced_rows(input, &rows, d_y, gradients)
            }
            Entry::AddedRows { input, rows } => self.replay_added_rows(input, rows, d_y, gradients),
            Entry::Add(terms) => self.replay_add(terms, d_y, gradients),
            Entry::Dropout { input, dropout } => {
                self.replay_dropout(input, dropout, &d_y, gradients)
            }
            Entry::SecondOutput | Entry::StreamNorm(_) | Entry::Rotate(_) => Ok(()),
            Entry::MeanPool { input, shape } => {
                let d_x = self.scratch(shape)?;
                self.kernels
                    .mean_pool_gradient(d_y.buffer(), d_x.buffer(), shape[1])?;
                self.accumulate(input, d_x, gradients)
            }
        }
    }

    /// The same values go to `x` and to the residual: into one buffer where that is safe.
    fn norm_gradients(
        &mut self,
        node: usize,
        x: Option<usize>,
        residual: Option<usize>,
        norm: &NormParts<K::Buffer>,
        d_y: &ValueOf<K>,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        if let (Some(x), Some(residual)) = (x, residual)
            && gradients[residual].is_none()
            && self.tape.may_alias(node, x, residual)
        {
            self.norm_gradient(x, norm, d_y, gradients)?;
            gradients[residual] = gradients[x].clone();
            return Ok(());
        }
        for input in [x, residual].into_iter().flatten() {
            self.norm_gradient(input, norm, d_y, gradients)?;
        }
        Ok(())
    }

    fn norm_gradient(
        &mut self,
        input: usize,
        norm: &NormParts<K::Buffer>,
        d_y: &ValueOf<K>,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        let [rows, dim] = d_y.shape();
        let (d_x, add) = self.target(input, [rows, dim], gradients)?;
        self.kernels.norm_gradient(NormGradient {
            d_y: d_y.buffer(),
            normalized: norm.normalized.buffer(),
            rstd: norm.rstd.buffer(),
            gain: norm.gain.buffer(),
            d_x: d_x.buffer(),
            add,
            rows,
            dim,
        })?;
        gradients[input] = Some(d_x);
        Ok(())
    }

    /// The buffer of `input`'s gradient, and whether there is something in it to add to.
    pub(super) fn target(
        &mut self,
        input: usize,
        shape: [usize; 2],
        gradients: &mut Gradients<K>,
    ) -> Result<(ValueOf<K>, bool), EngineError> {
        match gradients[input].take() {
            Some(d_x) => Ok((d_x, true)),
            None => Ok((self.scratch(shape)?, false)),
        }
    }

    /// Gives `d_x` to `input`, adding it to what is there. Only for kernels that cannot add
    /// themselves, where an encoder's activation has one use; the sum is then `d_x·I`.
    pub(super) fn accumulate(
        &mut self,
        input: usize,
        d_x: ValueOf<K>,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        let Some(sum) = gradients[input].take() else {
            gradients[input] = Some(d_x);
            return Ok(());
        };
        let layer = self.identity(d_x.shape()[1])?;
        gradients[input] = Some(sum);
        self.input_gradient(&layer, None, &d_x, input, gradients)
    }

    pub(super) fn identity(&mut self, size: usize) -> Result<LinearLayer<K::Buffer>, EngineError> {
        let known = self.identities.iter().find(|(known, _)| *known == size);
        let buffer = match known {
            Some((_, buffer)) => buffer.clone(),
            None => {
                let mut values = vec![0.0; size * size];
                values
                    .iter_mut()
                    .step_by(size + 1)
                    .for_each(|value| *value = 1.0);
                let buffer = self.kernels.upload(&values, [size, size])?;
                self.identities.push((size, buffer.clone()));
                buffer
            }
        };
        Ok(LinearLayer {
            weight: Weight::Frozen(buffer),
            bias: None,
            trained_bias: None,
            lora: None,
            shape: [size; 2],
        })
    }
}

/// What a norm's gradient reads.
struct NormParts<B: Clone> {
    gain: Value<B>,
    normalized: Value<B>,
    rstd: Value<B>,
}
