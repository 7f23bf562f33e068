//! The forward operations of decoders, recorded.

use super::generation::head_parts;
use super::tape::{Entry, RotateEntry, StreamNormEntry};
use super::{Loss, Recorded, Value, ValueOf, check};
use crate::engine::decoder::{DecoderEngine, LanguageHead, Rotary, StreamNorm};
use crate::engine::kernels::LinearCall;
use crate::engine::kernels::decoder::{
    DecoderKernels, LanguageLossCall, Residual, RotateCall, StreamNormCall, SwigluCall,
};
use crate::engine::{EngineError, Parameter, checks};

/// Positions that a table of angles has at least.
const LEAST_POSITIONS: usize = 64;

impl<K: DecoderKernels> Recorded<K> {
    /// The second output of the entry pushed next, where it has a gradient.
    fn second_output(
        &mut self,
        shape: [usize; 2],
        gradient: bool,
    ) -> Result<ValueOf<K>, EngineError> {
        let node = gradient.then_some(self.tape.len() + 1);
        Ok(self.output(shape, false)?.remade(node))
    }

    /// The tensor itself if nobody else has it, else a copy (as a product with the identity).
    pub(super) fn writable(&mut self, value: ValueOf<K>) -> Result<ValueOf<K>, EngineError> {
        if value.is_unique() && !value.is_frozen() {
            return Ok(value);
        }
        let [rows, columns] = value.shape();
        let layer = self.identity(columns)?;
        let copy = self.scratch([rows, columns])?;
        self.kernels.linear(LinearCall {
            x: value.buffer(),
            layer: &layer,
            low_rank: None,
            y: copy.buffer(),
            rows,
        })?;
        Ok(copy)
    }

    /// A table of angles for the positions of the batch.
    fn angles(&mut self, rotary: &Rotary) -> Result<K::Buffer, EngineError> {
        let starts = self.batch.row_starts();
        let longest = starts.windows(2).map(|ends| ends[1] - ends[0]).max();
        let positions = (self.batch.past + longest.unwrap_or(0)) as usize;
        let known = |(table, reach, _): &&(Rotary, usize, K::Buffer)| {
            table == rotary && *reach >= positions
        };
        if let Some((_, _, buffer)) = self.angles.iter().find(known) {
            return Ok(buffer.clone());
        }
        let reach = positions.next_power_of_two().max(LEAST_POSITIONS);
        let shape = [reach, rotary.head_dim];
        let buffer = self.kernels.upload(&rotary.table(reach), shape)?;
        self.angles.push((*rotary, reach, buffer.clone()));
        Ok(buffer)
    }

    /// The norm of `x`, or of its sum with a residual, which comes first then.
    fn normalize(
        &mut self,
        x: &ValueOf<K>,
        residual: Option<&ValueOf<K>>,
        layer: &StreamNorm<ValueOf<K>>,
    ) -> Result<(Option<ValueOf<K>>, ValueOf<K>), EngineError> {
        let shape = x.shape();
        let [rows, dim] = norm_groups(shape, layer)?;
        let nodes = [x.node(), residual.and_then(Value::node)];
        let trained = [&layer.trained_gain, &layer.trained_bias].map(Clone::clone);
        let below = self.training && nodes.iter().any(Option::is_some);
        let recorded = below || self.training && trained.iter().any(Option::is_some);
        let gain = self.norm_row(&layer.gain, trained[0].as_ref())?;
        let bias = match &layer.bias {
            Some(bias) => Some(self.norm_row(bias, trained[1].as_ref())?),
            None => None,
        };
        let rstd = self.scratch([rows, 1])?;
        let y = self.output(shape, recorded)?;
        let sum = match residual {
            Some(_) => Some(self.second_output(shape, below)?),
            None => None,
        };
        let pair = residual.zip(sum.as_ref());
        self.kernels.stream_norm(StreamNormCall {
            x: x.buffer(),
            residual: pair.map(|(before, sum)| Residual {
                before: before.buffer(),
                sum: sum.buffer(),
            }),
            gain: gain.buffer(),
            bias: bias.as_ref().map(Value::buffer),
            eps: layer.eps,
            rstd: rstd.buffer(),
            y: y.buffer(),
            rows,
            dim,
        })?;
        if recorded {
            let entry = Entry::StreamNorm(StreamNormEntry {
                x: nodes[0],
                residual: nodes[1],
                adds: sum.is_some(),
                normalized: sum.as_ref().unwrap_or(x).clone(),
                rstd,
                gain,
                trained,
                centred: layer.bias.is_some(),
            });
            match sum {
                Some(_) => self.tape.push_pair(entry, &nodes),
                None => self.tape.push(entry, &nodes),
            }
        }
        Ok((sum, y))
    }
}

/// What is normalized by itself, as rows and their columns: a group of columns is a row of its own.
fn norm_groups<B: Clone>(
    [rows, dim]: [usize; 2],
    layer: &StreamNorm<Value<B>>,
) -> Result<[usize; 2], EngineError> {
    let columns = layer.gain.shape()[1];
    if let Some(bias) = &layer.bias {
        checks::length("gain of a norm", dim, columns)?;
        checks::length("bias of a norm", dim, bias.shape()[1])?;
    }
    if columns == 0 || !dim.is_multiple_of(columns) {
        checks::length("gain of a norm", dim, columns)?;
    }
    Ok([rows * (dim / columns), columns])
}

impl<K: DecoderKernels> DecoderEngine for Recorded<K> {
    fn token_embedding(
        &mut self,
        word: &Self::Tensor,
        prompt: Option<&Parameter>,
    ) -> Result<Self::Tensor, EngineError> {
        check::tokens(&self.batch, word, prompt)?;
        if let Some(prompt) = prompt {
            check::parameter("soft prompt", prompt, prompt.shape, self.adapter_len)?;
        }
        let dim = word.shape()[1];
        let recorded = prompt.filter(|_| self.training).cloned();
        let out = self.output([self.batch.rows(), dim], recorded.is_some())?;
        self.kernels
            .embed_tokens(word.buffer(), prompt, out.buffer(), dim)?;
        if let Some(prompt) = recorded {
            self.tape.push(Entry::Embedding { prompt }, &[]);
        }
        Ok(out)
    }

    fn stream_norm(
        &mut self,
        x: &Self::Tensor,
        layer: &StreamNorm<Self::Tensor>,
    ) -> Result<Self::Tensor, EngineError> {
        Ok(self.normalize(x, None, layer)?.1)
    }

    fn add_stream_norm(
        &mut self,
        x: &Self::Tensor,
        residual: &Self::Tensor,
        layer: &StreamNorm<Self::Tensor>,
    ) -> Result<(Self::Tensor, Self::Tensor), EngineError> {
        check::same_shape("residual", x, residual)?;
        let (sum, y) = self.normalize(x, Some(residual), layer)?;
        Ok((sum.unwrap_or_else(|| x.clone()), y))
    }

    fn rotate(
        &mut self,
        q: Self::Tensor,
        k: Self::Tensor,
        rotary: &Rotary,
    ) -> Result<(Self::Tensor, Self::Tensor), EngineError> {
        let nodes = [q.node(), k.node()];
        let recorded = self.training && nodes.iter().any(Option::is_some);
        let table = self.angles(rotary)?;
        let (q, k) = (self.writable(q)?, self.writable(k)?);
        let ([rows, columns], [key_rows, key_columns]) = (q.shape(), k.shape());
        checks::length("rows of keys", rows, key_rows)?;
        self.kernels.rotate(RotateCall {
            first: (q.buffer(), columns),
            second: Some((k.buffer(), key_columns)),
            table: &table,
            head_dim: rotary.head_dim,
            backward: false,
            rows,
        })?;
        let first = self.tape.len();
        if recorded {
            let entry = Entry::Rotate(RotateEntry {
                q: nodes[0],
                k: nodes[1],
                table,
                head_dim: rotary.head_dim,
            });
            self.tape.push_pair(entry, &nodes);
        }
        let node = |input: Option<usize>, node| input.filter(|_| recorded).map(|_| node);
        Ok((
            q.remade(node(nodes[0], first)),
            k.remade(node(nodes[1], first + 1)),
        ))
    }

    fn swiglu(
        &mut self,
        gate: &Self::Tensor,
        up: &Self::Tensor,
    ) -> Result<Self::Tensor, EngineError> {
        check::same_shape("gated values", gate, up)?;
        let nodes = [gate.node(), up.node()];
        let recorded = self.training && nodes.iter().any(Option::is_some);
        let y = self.output(gate.shape(), recorded)?;
        self.kernels.swiglu(SwigluCall {
            gate: gate.buffer(),
            up: up.buffer(),
            y: y.buffer(),
            len: gate.shape()[0] * gate.shape()[1],
        })?;
        if recorded {
            let (gate, up) = (gate.clone(), up.clone());
            self.tape.push(Entry::Swiglu { gate, up }, &nodes);
        }
        Ok(y)
    }

    fn language_loss(
        &mut self,
        hidden: &Self::Tensor,
        head: &LanguageHead<Self::Tensor>,
        labels: &[u32],
        weights: Option<&[f32]>,
    ) -> Result<(), EngineError> {
        let [rows, dim] = hidden.shape();
        checks::length("labels of rows", rows, labels.len())?;
        let (width, vocabulary, head) = head_parts(head);
        checks::length("rows of the projection to logits", dim, width)?;
        let node = hidden.node().filter(|_| self.training);
        let gradient = match node {
            Some(_) => Some(self.scratch([rows, dim])?),
            None => None,
        };
        self.kernels.language_loss(LanguageLossCall {
            hidden: hidden.buffer(),
            head,
            labels,
            weights,
            d_hidden: gradient.as_ref().map(Value::buffer),
            dim,
            vocabulary,
        })?;
        self.loss = Some(Loss { node, gradient });
        Ok(())
    }
}
