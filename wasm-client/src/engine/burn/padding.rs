//! Packed rows, padded to the longest sequence and back.
//!
//! Attention and pooling want `[batch, length, dim]`. Padding rows are copies of row 0; the mask
//! gives them no weight, so they get no gradient either.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{AttentionMask, Batch, EngineError, expect, indices, shape_error};

/// Added to a score that must not count.
const HIDDEN: f32 = -1e9;

/// How the rows of one batch are padded.
pub(super) struct Padding {
    batch: usize,
    length: usize,
    rows: usize,
    /// Source row of each padded row, and padded row of each row; `None` where all are of a length.
    moves: Option<(Tensor<1, Int>, Tensor<1, Int>)>,
    /// `[batch, 1, 1, length]`.
    key_mask: Tensor<4>,
    /// `[batch, length, 1]`: `1 / tokens` at real tokens, else 0.
    pool_weights: Tensor<3>,
}

impl Padding {
    pub(super) fn new(batch: &Batch, device: &Device) -> Result<Self, EngineError> {
        let starts = batch.row_starts();
        let ragged = batch.token_starts.windows(2).any(|pair| pair[1] <= pair[0]);
        let end = batch.token_starts.last().copied().unwrap_or_default() as usize;
        if batch.is_empty() || ragged || batch.token_starts[0] != 0 {
            return Err(shape_error("tokens of a sequence", 1, 0));
        }
        expect("tokens", end, batch.tokens.len())?;

        let lengths: Vec<usize> = starts
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as usize)
            .collect();
        let length = lengths.iter().copied().max().unwrap_or_default();
        let virtual_tokens = batch.num_virtual_tokens as usize;
        let (mut sources, mut places) = (Vec::new(), Vec::new());
        let (mut mask, mut weights) = (Vec::new(), Vec::new());
        for (sequence, (&rows, &start)) in lengths.iter().zip(&starts).enumerate() {
            let weight = 1.0 / (rows - virtual_tokens) as f32;
            for at in 0..length {
                let real = at < rows;
                sources.push(if real { start + at as u32 } else { 0 });
                mask.push(if real { 0.0 } else { HIDDEN });
                weights.push(if real && at >= virtual_tokens {
                    weight
                } else {
                    0.0
                });
            }
            places.extend((0..rows).map(|at| (sequence * length + at) as u32));
        }
        let batch = lengths.len();
        let moves = (places.len() != batch * length)
            .then(|| (indices(&sources, device), indices(&places, device)));
        Ok(Self {
            batch,
            length,
            rows: places.len(),
            moves,
            key_mask: Tensor::from_data(TensorData::new(mask, [batch, 1, 1, length]), device),
            pool_weights: Tensor::from_data(TensorData::new(weights, [batch, length, 1]), device),
        })
    }

    /// `[rows, dim]` to `[batch, length, dim]`.
    pub(super) fn pad(&self, x: &Tensor<2>) -> Result<Tensor<3>, EngineError> {
        let [rows, dim] = x.dims();
        expect("rows", self.rows, rows)?;
        let padded = match &self.moves {
            Some((sources, _)) => x.clone().select(0, sources.clone()),
            None => x.clone(),
        };
        Ok(padded.reshape([self.batch, self.length, dim]))
    }

    /// `[rows, own·head_dim]` to `[batch, heads, length, head_dim]`: each of the tensor's own heads
    /// as often as it takes to make `heads` of them.
    pub(super) fn heads(
        &self,
        x: &Tensor<2>,
        heads: usize,
        head_dim: usize,
    ) -> Result<Tensor<4>, EngineError> {
        let [batch, length, columns] = self.pad(x)?.dims();
        let own = columns / head_dim;
        expect("columns of whole heads", own * head_dim, columns)?;
        expect("heads of whole groups", heads / own.max(1) * own, heads)?;
        let split = self.pad(x)?.reshape([batch, length, own, 1, head_dim]);
        let repeated = split.repeat_dim(3, heads / own);
        let shape = [batch, length, heads, head_dim];
        Ok(repeated.reshape(shape).swap_dims(1, 2))
    }

    /// `[batch · length, dim]` to `[rows, dim]`.
    pub(super) fn pack(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.moves {
            Some((_, places)) => x.select(0, places.clone()),
            None => x,
        }
    }

    /// What is added to the scores, `[batch, 1, 1 or length, length]`.
    pub(super) fn scores_mask(&self, mask: AttentionMask) -> Tensor<4> {
        match mask {
            AttentionMask::Bidirectional => self.key_mask.clone(),
            AttentionMask::Causal => {
                let n = self.length;
                let later =
                    |query: usize| (0..n).map(move |key| if key > query { HIDDEN } else { 0.0 });
                let causal: Vec<f32> = (0..n).flat_map(later).collect();
                let device = self.key_mask.device();
                let causal = Tensor::from_data(TensorData::new(causal, [1, 1, n, n]), &device);
                self.key_mask.clone() + causal
            }
        }
    }

    pub(super) fn pool_weights(&self) -> Tensor<3> {
        self.pool_weights.clone()
    }
}

/// Position of each row in its sequence, virtual tokens first.
pub(super) fn positions(batch: &Batch) -> Vec<u32> {
    batch
        .row_starts()
        .windows(2)
        .flat_map(|pair| batch.past..batch.past + pair[1] - pair[0])
        .collect()
}

/// Where each row comes from in the soft prompt's rows followed by the tokens' rows.
pub(super) fn embedding_sources(batch: &Batch) -> Vec<u32> {
    let prompt = batch.num_virtual_tokens;
    let sequence = |pair: &[u32]| (0..prompt).chain(prompt + pair[0]..prompt + pair[1]);
    batch.token_starts.windows(2).flat_map(sequence).collect()
}
