//! The base model's values on the host: what a client's gradient and an attacker's candidates are
//! made of.

use std::collections::BTreeMap;
use std::path::Path;

use choir_shared::task::EncoderShape;

use super::AttackError;
use crate::model::loader::file_name;
use crate::model::tensors::{EncoderTensor, NormPlace};
use crate::model::weights::SafetensorsReader;

/// The encoder's tensors; matrices of linear layers are `[in, out]`.
#[derive(Clone, Debug)]
pub(super) struct BaseWeights {
    shape: EncoderShape,
    tensors: BTreeMap<EncoderTensor, Vec<f32>>,
}

impl BaseWeights {
    /// Reads `model.safetensors`.
    pub(super) fn read(path: &Path, shape: EncoderShape) -> Result<Self, AttackError> {
        let bytes = std::fs::read(path).map_err(|error| AttackError::file(path, error))?;
        let mut by_name: BTreeMap<String, Vec<f32>> = BTreeMap::new();
        let mut reader = SafetensorsReader::default();
        reader.push(&bytes, |tensor| {
            let name = tensor.name.strip_prefix("bert.").unwrap_or(&tensor.name);
            by_name.insert(name.to_owned(), tensor.values);
            Ok::<_, AttackError>(())
        })?;
        reader.finish()?;
        let take = |tensor: EncoderTensor| {
            let name = file_name(tensor);
            let [rows, columns] = tensor.shape(&shape);
            let values = by_name.remove(&name).unwrap_or_default();
            // Any number of token types will do, from one up.
            if values.is_empty() || (rows > 0 && values.len() != rows * columns) {
                return Err(AttackError::Data(format!(
                    "{}: tensor {name} has {} values, not {rows} times {columns}",
                    path.display(),
                    values.len()
                )));
            }
            let values = match tensor {
                EncoderTensor::Weight(..) => transposed(&values, rows, columns),
                _ => values,
            };
            Ok((tensor, values))
        };
        let tensors = EncoderTensor::all(&shape)
            .into_iter()
            .map(take)
            .collect::<Result<_, _>>()?;
        Ok(Self { shape, tensors })
    }

    /// An encoder of given tensors, for tests.
    #[cfg(test)]
    pub(super) fn of(
        shape: EncoderShape,
        mut value: impl FnMut(EncoderTensor) -> Vec<f32>,
    ) -> Self {
        let tensors = EncoderTensor::all(&shape)
            .into_iter()
            .map(|tensor| (tensor, value(tensor)))
            .collect();
        Self { shape, tensors }
    }

    /// The encoder's sizes.
    pub(super) fn shape(&self) -> &EncoderShape {
        &self.shape
    }

    /// One tensor, row-major.
    pub(super) fn tensor(&self, tensor: EncoderTensor) -> &[f32] {
        self.tensors.get(&tensor).map_or(&[], Vec::as_slice)
    }

    /// `word[token] + position[p] + token_type[0]`: what the encoder starts from at one place.
    pub(super) fn embedding(&self, token: u32, position: usize) -> Vec<f32> {
        let dim = self.shape.dim as usize;
        let row = |tensor, index: usize| &self.tensor(tensor)[index * dim..(index + 1) * dim];
        row(EncoderTensor::Word, token as usize)
            .iter()
            .zip(row(EncoderTensor::Position, position))
            .zip(row(EncoderTensor::TokenType, 0))
            .map(|((word, position), kind)| word + position + kind)
            .collect()
    }

    /// The rows of a sequence, `[tokens, dim]`.
    pub(super) fn embeddings(&self, tokens: &[u32]) -> Vec<f32> {
        tokens
            .iter()
            .enumerate()
            .flat_map(|(position, &token)| self.embedding(token, position))
            .collect()
    }

    /// The first norm of one row, in place: then it is what the first block reads.
    pub(super) fn normalize(&self, row: &mut [f32]) {
        let count = row.len() as f32;
        let mean = row.iter().sum::<f32>() / count;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / count;
        let scale = 1.0 / (variance + self.shape.norm_eps).sqrt();
        let gain = self.tensor(EncoderTensor::NormGain(NormPlace::Embeddings));
        let bias = self.tensor(EncoderTensor::NormBias(NormPlace::Embeddings));
        for ((x, gain), bias) in row.iter_mut().zip(gain).zip(bias) {
            *x = (*x - mean) * scale * gain + bias;
        }
    }

    /// What the first block would read for each of these tokens at one place, `[tokens, dim]`.
    pub(super) fn first_inputs(&self, tokens: &[u32], position: usize) -> Vec<f32> {
        tokens
            .iter()
            .flat_map(|&token| {
                let mut row = self.embedding(token, position);
                self.normalize(&mut row);
                row
            })
            .collect()
    }
}

/// `[columns, rows]` to `[rows, columns]`.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for row in 0..rows {
        out.extend((0..columns).map(|column| values[column * rows + row]));
    }
    out
}
