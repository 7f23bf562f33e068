//! What a call demands of its numbers and buffers, the same for the kernels of every device.
//!
//! A device adds only what is its own: whole tiles to write, columns in vectors.

mod adapter;
mod decoder;
mod generation;

pub use adapter::{sum, trained_values};
pub use decoder::labels;

use super::kernels::{
    AttentionCall, AttentionGradient, LinearCall, LinearInputGradient, LoraGradient, LowRankCall,
    LowRankWay, NormCall, NormGradient, WeightGradient,
};
use super::{EngineError, LoraFactors};

/// Storage with room for a known number of values.
pub trait Room {
    /// How many.
    fn room(&self) -> usize;
    /// How many of a matrix, in whatever way it is kept.
    fn values(&self) -> usize {
        self.room()
    }
}

/// The right number of values.
///
/// # Errors
/// [`EngineError::Shape`].
pub fn length(what: &str, expected: usize, found: usize) -> Result<(), EngineError> {
    if expected == found {
        return Ok(());
    }
    Err(shape(what, expected, found))
}

/// A value below its limit.
///
/// # Errors
/// [`EngineError::OutOfRange`].
pub fn range(what: &'static str, value: usize, limit: usize) -> Result<(), EngineError> {
    if value < limit {
        return Ok(());
    }
    Err(EngineError::OutOfRange { what, value, limit })
}

/// Room for at least `values`.
///
/// # Errors
/// [`EngineError::Shape`].
pub fn room<B: Room>(what: &str, buffer: &B, values: usize) -> Result<(), EngineError> {
    if values <= buffer.room() {
        return Ok(());
    }
    Err(shape(what, values, buffer.room()))
}

/// Room for `len` values in every buffer of an activation.
///
/// # Errors
/// [`EngineError::Shape`].
pub fn activation<B: Room>(buffers: &[&B], len: usize) -> Result<(), EngineError> {
    rooms("rows of an activation", buffers, len)
}

impl<'a, B: Room> LinearCall<'a, B> {
    /// Its low-rank part, once all buffers are found to fit.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn checked(&self) -> Result<Option<(&'a LoraFactors, &'a B)>, EngineError> {
        let [inputs, outputs] = self.layer.shape;
        room("x of a linear layer", self.x, self.rows * inputs)?;
        room("y of a linear layer", self.y, self.rows * outputs)?;
        low_rank(self.layer.lora.as_ref(), self.low_rank, self.rows)
    }
}

impl<'a, B: Room> LinearInputGradient<'a, B> {
    /// Its low-rank part, once all buffers are found to fit.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn checked(&self) -> Result<Option<(&'a LoraFactors, &'a B)>, EngineError> {
        let [inputs, outputs] = self.layer.shape;
        room("d_y of a linear layer", self.d_y, self.rows * outputs)?;
        room("d_x of a linear layer", self.d_x, self.rows * inputs)?;
        low_rank(self.layer.lora.as_ref(), self.d_low_rank, self.rows)
    }
}

impl<B: Room> LowRankCall<'_, B> {
    /// Columns of what is multiplied, once all buffers are found to fit.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn checked(&self, way: LowRankWay, rows: usize) -> Result<usize, EngineError> {
        let ([inputs, rank], outputs) = (self.lora.a.shape, self.lora.b.shape[1]);
        let columns = match way {
            LowRankWay::Forward => inputs,
            LowRankWay::Backward => outputs,
        };
        room("x of a low-rank part", self.x, rows * columns)?;
        room("x·A", self.low_rank, rows * rank)?;
        Ok(columns)
    }
}

impl<B: Room> LoraGradient<'_, B> {
    /// All buffers fit.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self) -> Result<(), EngineError> {
        let ([inputs, rank], outputs) = (self.lora.a.shape, self.lora.b.shape[1]);
        room("x of a linear layer", self.x, self.rows * inputs)?;
        room("d_y of a linear layer", self.d_y, self.rows * outputs)?;
        rooms("x·A", &[self.low_rank, self.d_low_rank], self.rows * rank)
    }
}

impl<B: Room> WeightGradient<'_, B> {
    /// All buffers fit.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self) -> Result<(), EngineError> {
        let [inputs, outputs] = self.shape;
        let read = if self.weight.is_some() { inputs } else { 0 };
        room("x of a linear layer", self.x, self.rows * read)?;
        room("d_y of a linear layer", self.d_y, self.rows * outputs)
    }
}

impl<B: Room> NormCall<'_, B> {
    /// All buffers fit.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self) -> Result<(), EngineError> {
        let rows = [
            self.x,
            self.residual.unwrap_or(self.x),
            self.normalized,
            self.y,
        ];
        rooms("rows of a norm", &rows, self.rows * self.dim)?;
        rooms("gain and bias of a norm", &[self.gain, self.bias], self.dim)?;
        room("rstd of a norm", self.rstd, self.rows)
    }
}

/// Room for a norm's output and what it is made of: normalized rows, gain, bias.
///
/// # Errors
/// [`EngineError::Shape`].
pub fn norm_output<B: Room>(
    [normalized, gain, bias]: [&B; 3],
    y: &B,
    [rows, dim]: [usize; 2],
) -> Result<(), EngineError> {
    rooms("rows of a norm", &[normalized, y], rows * dim)?;
    rooms("gain and bias of a norm", &[gain, bias], dim)
}

impl<B: Room> NormGradient<'_, B> {
    /// All buffers fit.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self) -> Result<(), EngineError> {
        let rows = [self.d_y, self.normalized, self.d_x];
        rooms("rows of a norm", &rows, self.rows * self.dim)?;
        room("gain of a norm", self.gain, self.dim)?;
        room("rstd of a norm", self.rstd, self.rows)
    }
}

impl<B> AttentionCall<'_, B> {
    fn query_values(&self) -> usize {
        self.rows * self.heads * self.head_dim
    }

    fn key_values(&self) -> usize {
        self.rows * self.kv_heads * self.head_dim
    }
}

impl<B: Room> AttentionCall<'_, B> {
    /// All buffers fit, and the rows are those of the batch.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self, batch_rows: usize) -> Result<(), EngineError> {
        length("rows of attention", batch_rows, self.rows)?;
        let groups = self.heads.checked_rem(self.kv_heads);
        length("heads beyond whole groups", 0, groups.unwrap_or(1))?;
        let what = "rows of attention";
        rooms(what, &[self.q, self.out], self.query_values())?;
        rooms(what, &[self.k, self.v], self.key_values())?;
        let statistics = 2 * self.rows * self.heads;
        room("statistics of attention", self.statistics, statistics)
    }
}

impl<B: Room> AttentionGradient<'_, B> {
    /// All buffers fit, and the rows are those of the batch.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self, batch_rows: usize) -> Result<(), EngineError> {
        self.forward.check(batch_rows)?;
        let what = "gradients of attention";
        rooms(what, &[self.d_out, self.d_q], self.forward.query_values())?;
        rooms(what, &[self.d_k, self.d_v], self.forward.key_values())
    }
}

fn rooms<B: Room>(what: &str, buffers: &[&B], values: usize) -> Result<(), EngineError> {
    buffers
        .iter()
        .try_for_each(|buffer| room(what, *buffer, values))
}

/// The low-rank part of a layer that has one; its buffer must be there and fit.
fn low_rank<'a, B: Room>(
    lora: Option<&'a LoraFactors>,
    buffer: Option<&'a B>,
    rows: usize,
) -> Result<Option<(&'a LoraFactors, &'a B)>, EngineError> {
    let Some(lora) = lora else { return Ok(None) };
    let values = rows * lora.a.shape[1];
    let buffer = buffer.ok_or_else(|| shape("x·A", values, 0))?;
    room("x·A", buffer, values)?;
    Ok(Some((lora, buffer)))
}

fn shape(what: &str, expected: usize, found: usize) -> EngineError {
    EngineError::Shape {
        what: what.to_owned(),
        expected,
        found,
    }
}

#[cfg(test)]
mod tests {
    use super::{Room, length, range, room};
    use crate::engine::EngineError;
    use crate::engine::kernels::NormCall;

    struct Held(usize);

    impl Room for Held {
        fn room(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn a_norm_is_refused_if_any_of_its_buffers_is_one_value_short() {
        let (rows, dim) = (3, 8);
        for short in 0..7 {
            let held = |place: usize, len: usize| Held(len - usize::from(place == short));
            let wide = [0, 1, 2, 3].map(|place| held(place, rows * dim));
            let (gain, bias, rstd) = (held(4, dim), held(5, dim), held(6, rows));
            let call = NormCall {
                x: &wide[0],
                residual: Some(&wide[1]),
                gain: &gain,
                bias: &bias,
                eps: 1e-12,
                normalized: &wide[2],
                rstd: &rstd,
                y: &wide[3],
                rows,
                dim,
            };
            assert!(matches!(call.check(), Err(EngineError::Shape { .. })));
        }
    }

    #[test]
    fn numbers_are_checked_to_the_last_one() {
        assert!(length("values", 3, 3).is_ok() && length("values", 3, 4).is_err());
        assert!(range("token id", 6, 7).is_ok() && range("token id", 7, 7).is_err());
        assert!(room("rows", &Held(4), 4).is_ok() && room("rows", &Held(4), 5).is_err());
    }
}
