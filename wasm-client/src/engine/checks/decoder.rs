//! What a decoder's calls demand of their numbers and buffers.

use super::{Room, length, range, room, rooms};
use crate::engine::EngineError;
use crate::engine::decoder::LanguageHead;
use crate::engine::kernels::decoder::{
    LanguageLossCall, RotateCall, StreamNormCall, StreamNormGradient, SwigluCall, SwigluGradient,
    scored,
};

impl<B: Room> StreamNormCall<'_, B> {
    /// All buffers fit.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self) -> Result<(), EngineError> {
        let what = "rows of a norm";
        rooms(what, &[self.x, self.y], self.rows * self.dim)?;
        if let Some(residual) = &self.residual {
            rooms(what, &[residual.before, residual.sum], self.rows * self.dim)?;
        }
        room("gain of a norm", self.gain, self.dim)?;
        if let Some(bias) = self.bias {
            room("bias of a norm", bias, self.dim)?;
        }
        room("rstd of a norm", self.rstd, self.rows)
    }
}

impl<B: Room> StreamNormGradient<'_, B> {
    /// All buffers fit.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self) -> Result<(), EngineError> {
        let rows = [self.d_y, self.x, self.d_x];
        rooms("rows of a norm", &rows, self.rows * self.dim)?;
        room("gain of a norm", self.gain, self.dim)?;
        room("rstd of a norm", self.rstd, self.rows)
    }
}

impl<B: Room> RotateCall<'_, B> {
    /// All buffers fit, columns are whole heads of an even size, and the table reaches to the
    /// last of `positions`.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self, batch_rows: usize, positions: usize) -> Result<(), EngineError> {
        length("rows to be turned", batch_rows, self.rows)?;
        length("columns of a head without a pair", 0, self.head_dim % 2)?;
        for (buffer, columns) in [Some(self.first), self.second].into_iter().flatten() {
            let rest = columns.checked_rem(self.head_dim).unwrap_or(1);
            length("columns that make no whole head", 0, rest)?;
            room("rows to be turned", buffer, self.rows * columns)?;
        }
        room("table of angles", self.table, positions * self.head_dim)
    }
}

impl<B: Room> SwigluCall<'_, B> {
    /// All buffers fit.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self) -> Result<(), EngineError> {
        rooms(
            "values of a gated unit",
            &[self.gate, self.up, self.y],
            self.len,
        )
    }
}

impl<B: Room> SwigluGradient<'_, B> {
    /// All buffers fit.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self) -> Result<(), EngineError> {
        let values = [self.gate, self.up, self.d_y, self.d_gate, self.d_up];
        rooms("values of a gated unit", &values, self.len)
    }
}

impl<B: Room> LanguageLossCall<'_, B> {
    /// All buffers fit, labels are within the vocabulary, and at least one is scored.
    ///
    /// # Errors
    /// [`EngineError::Shape`] or [`EngineError::OutOfRange`] for the first that does not.
    pub fn check(&self) -> Result<(), EngineError> {
        let values = self.labels.len() * self.dim;
        room("hidden states", self.hidden, values)?;
        if let Some(d_hidden) = self.d_hidden {
            room("gradient of the hidden states", d_hidden, values)?;
        }
        let (LanguageHead::Separate(weight) | LanguageHead::Tied(weight)) = self.head;
        let [needed, found] = [self.dim * self.vocabulary, weight.values()];
        if found < needed {
            length("projection to logits", needed, found)?;
        }
        let rows = self.labels.len();
        length(
            "weights of rows",
            rows,
            self.weights.map_or(rows, <[f32]>::len),
        )?;
        labels(self.labels, self.vocabulary)
    }
}

/// Labels within the vocabulary, at least one scored.
///
/// # Errors
/// [`EngineError::Shape`] or [`EngineError::OutOfRange`].
pub fn labels(labels: &[u32], vocabulary: usize) -> Result<(), EngineError> {
    let mut found = labels.iter().filter(|label| scored(**label)).peekable();
    length("scored rows", 1, usize::from(found.peek().is_some()))?;
    found.try_for_each(|&label| range("label", label as usize, vocabulary))
}
