//! What decoders need beside the kernels of [`super`]: their calls on this machine's processor.

use rayon::prelude::*;

use super::CpuKernels;
use super::buffer::CpuBuffer;
use super::panel::Side;
use super::parallel::{by_sequence, for_each};
use super::pointwise::{self, max, sum};
use super::product::{Store, row_major};
use super::stream_norm::{self, StreamNorm};
use crate::engine::decoder::LanguageHead;
use crate::engine::kernels::decoder::{
    DecoderKernels, LanguageLossCall, RotateCall, StreamNormCall, StreamNormGradient, SwigluCall,
    SwigluGradient, scored,
};
use crate::engine::{EngineError, LinearLayer, Parameter};

/// How pairs of columns turn.
#[derive(Clone, Copy)]
struct Turn<'a> {
    /// `[positions, 2, head_dim / 2]`: cosines, then sines.
    table: &'a [f32],
    head_dim: usize,
    /// -1 turns back.
    sign: f32,
    row_starts: &'a [u32],
    /// Position of each sequence's first row.
    past: usize,
}

impl Turn<'_> {
    /// Turns each head's pairs `(j, j + head_dim/2)` of `[rows, columns]`.
    fn apply(self, values: &mut [f32], columns: usize) -> Result<(), EngineError> {
        for_each(by_sequence(values, self.row_starts, columns), |rows| {
            let angles = self.table.chunks_exact(self.head_dim).skip(self.past);
            for (row, angles) in rows.chunks_exact_mut(columns).zip(angles) {
                row.chunks_exact_mut(self.head_dim)
                    .for_each(|head| self.head(head, angles));
            }
            Ok(())
        })
    }

    fn head(self, head: &mut [f32], angles: &[f32]) {
        let half = self.head_dim / 2;
        let (lower, upper) = head.split_at_mut(half);
        let (cosines, sines) = angles.split_at(half);
        let turns = cosines.iter().zip(sines);
        for ((low, up), (cos, sin)) in lower.iter_mut().zip(upper).zip(turns) {
            let sin = self.sign * sin;
            (*low, *up) = (*low * cos - *up * sin, *up * cos + *low * sin);
        }
    }
}

impl DecoderKernels for CpuKernels {
    fn embed_tokens(
        &mut self,
        word: &CpuBuffer,
        prompt: Option<&Parameter>,
        out: &CpuBuffer,
        dim: usize,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        let values = word.values();
        let prompt = self.prompt_rows(prompt, dim);
        let mut out = out.values_mut();
        let mut rows = out.chunks_exact_mut(dim);
        for pair in self.batch.token_starts.windows(2) {
            let tokens = &self.batch.tokens[pair[0] as usize..pair[1] as usize];
            for (source, row) in prompt.chunks_exact(dim).zip(&mut rows) {
                row.copy_from_slice(source);
            }
            for (&token, row) in tokens.iter().zip(&mut rows) {
                match word.matrix() {
                    Some(matrix) => matrix.dequantise(token as usize, 0..dim, row),
                    None => row.copy_from_slice(&values[token as usize * dim..][..dim]),
                }
            }
        }
        Ok(())
    }

    fn stream_norm(&mut self, call: StreamNormCall<'_, CpuBuffer>) -> Result<(), EngineError> {
        self.calls += 1;
        call.check()?;
        let (rows, dim) = (call.rows, call.dim);
        let (x, gain) = (call.x.values(), call.gain.values());
        let bias = call.bias.map(CpuBuffer::values);
        let norm = StreamNorm {
            gain: &gain[..dim],
            bias: bias.as_deref().map(|bias| &bias[..dim]),
            eps: call.eps,
        };
        let mut y = call.y.values_mut();
        let (y, mut rstd) = (&mut y[..rows * dim], call.rstd.values_mut());
        match call.residual {
            Some(residual) => {
                let mut sum = residual.sum.values_mut();
                let sum = &mut sum[..rows * dim];
                sum.copy_from_slice(&x[..rows * dim]);
                stream_norm::add(sum, &residual.before.values()[..rows * dim]);
                norm.forward(sum, &mut rstd, y);
            }
            None => norm.forward(&x[..rows * dim], &mut rstd, y),
        }
        Ok(())
    }

    fn stream_norm_gradient(
        &mut self,
        call: StreamNormGradient<'_, CpuBuffer>,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        call.check()?;
        let mut d_x = call.d_x.values_mut();
        stream_norm::gradient(
            [&call.d_y.values(), &call.x.values()],
            &call.rstd.values(),
            &call.gain.values()[..call.dim],
            &mut d_x[..call.rows * call.dim],
            call.centred,
            call.add,
        );
        Ok(())
    }

    fn rotate(&mut self, call: RotateCall<'_, CpuBuffer>) -> Result<(), EngineError> {
        self.calls += 1;
        let lengths = self.row_starts.windows(2).map(|ends| ends[1] - ends[0]);
        let past = self.batch.past as usize;
        let positions = past + lengths.max().unwrap_or(0) as usize;
        call.check(self.batch.rows(), positions)?;
        let turn = Turn {
            table: &call.table.values(),
            head_dim: call.head_dim,
            sign: if call.backward { -1.0 } else { 1.0 },
            row_starts: &self.row_starts,
            past,
        };
        [Some(call.first), call.second]
            .into_iter()
            .flatten()
            .try_for_each(|(buffer, columns)| turn.apply(&mut buffer.values_mut(), columns))
    }

    fn swiglu(&mut self, call: SwigluCall<'_, CpuBuffer>) -> Result<(), EngineError> {
        self.calls += 1;
        call.check()?;
        let (gate, up, mut y) = (call.gate.values(), call.up.values(), call.y.values_mut());
        let y = &mut y[..call.len];
        y.copy_from_slice(&up[..call.len]);
        pointwise::scale_by(&gate[..call.len], y, pointwise::silu);
        Ok(())
    }

    fn swiglu_gradient(&mut self, call: SwigluGradient<'_, CpuBuffer>) -> Result<(), EngineError> {
        self.calls += 1;
        call.check()?;
        let len = call.len;
        let (gate, up, d_y) = (call.gate.values(), call.up.values(), call.d_y.values());
        let mut d_up = call.d_up.values_mut();
        d_up[..len].copy_from_slice(&d_y[..len]);
        pointwise::scale_by(&gate[..len], &mut d_up[..len], pointwise::silu);
        let mut d_gate = call.d_gate.values_mut();
        let d_gate = &mut d_gate[..len];
        d_gate.copy_from_slice(&d_y[..len]);
        pointwise::scale_by(&gate[..len], d_gate, pointwise::silu_slope);
        pointwise::scale_by(&up[..len], d_gate, |up| up);
        Ok(())
    }

    fn language_loss(&mut self, call: LanguageLossCall<'_, CpuBuffer>) -> Result<(), EngineError> {
        self.calls += 1;
        call.check()?;
        let (dim, vocabulary) = (call.dim, call.vocabulary);
        let weights = call.row_weights();
        let rows = call.chunk_rows(1);
        let hidden = call.hidden.values();
        let scratch = self.pool.take(rows * vocabulary, &self.meter);
        let mut logits = scratch.values_mut();
        let (layer, forward, back) = match call.head {
            LanguageHead::Separate(weight) => {
                let layer = LinearLayer::frozen(weight.clone(), [dim, vocabulary]);
                (layer, Side::Plain, Side::Transposed)
            }
            LanguageHead::Tied(word) => {
                let layer = LinearLayer::frozen(word.clone(), [vocabulary, dim]);
                (layer, Side::Transposed, Side::Plain)
            }
        };
        let mut loss = 0.0;
        let labelled = call.labels.chunks(rows).zip(weights.chunks(rows));
        for (chunk, (labels, weights)) in labelled.enumerate() {
            let place = chunk * rows * dim..(chunk * rows + labels.len()) * dim;
            let logits = &mut logits[..labels.len() * vocabulary];
            let hidden = row_major(&hidden[place.clone()], [labels.len(), dim])?;
            self.multiply_weight(logits, hidden, &layer, forward, Store::default())?;
            loss += losses(logits, labels, weights);
            if let Some(d_hidden) = call.d_hidden {
                let d_logits = row_major(logits, [labels.len(), vocabulary])?;
                let d_hidden = &mut d_hidden.values_mut()[place];
                self.multiply_weight(d_hidden, d_logits, &layer, back, Store::default())?;
            }
        }
        drop(logits);
        self.pool.give_back(scratch);
        self.loss = loss as f32;
        Ok(())
    }
}

/// The sum of the rows' losses, each times its weight; logits become their gradients.
fn losses(logits: &mut [f32], labels: &[u32], weights: &[f32]) -> f64 {
    let vocabulary = logits.len() / labels.len().max(1);
    let rows = logits
        .par_chunks_exact_mut(vocabulary)
        .zip(labels)
        .zip(weights);
    // Collected before they are summed, so that the order of the sum is always the same.
    let losses: Vec<f64> = rows
        .map(|((row, &label), &weight)| row_loss(row, label, weight))
        .collect();
    losses.iter().sum()
}

fn row_loss(logits: &mut [f32], label: u32, weight: f32) -> f64 {
    if !scored(label) {
        logits.fill(0.0);
        return 0.0;
    }
    let (largest, own) = (max(logits), logits[label as usize]);
    pointwise::exp_shifted(logits, largest);
    let total = sum(logits);
    let scale = weight / total;
    logits.iter_mut().for_each(|logit| *logit *= scale);
    logits[label as usize] -= weight;
    f64::from(weight) * (f64::from(largest) + f64::from(total).ln() - f64::from(own))
}
