//! Checkpoints of llama2.c's version 0 (karpathy/llama2.c:export.py, `legacy_export`): seven sizes,
//! then all values in f32, tensor by tensor for all blocks. Its rotary positions turn neighbouring
//! columns; ours turn column `j` with `j + head_dim/2`, so the rows of queries and keys change places.

use super::decoder::{
    Decoder, DecoderAdapter, DecoderNorm, DecoderShape, DecoderTarget, DecoderTensor,
};
use super::loader::{LoadError, transpose};
use crate::engine::Engine;
use crate::engine::quantised::WeightPrecision;

const SIZES: usize = 7;

/// What can be wrong with such a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Llama2cError {
    /// Sizes that no model has.
    #[error("not a llama2.c checkpoint of version 0: {0}")]
    Sizes(&'static str),
    /// More or fewer values than the sizes ask for.
    #[error("a llama2.c checkpoint of these sizes has {expected} bytes, not {found}")]
    Length {
        /// Bytes it should have.
        expected: usize,
        /// Bytes it has.
        found: usize,
    },
    /// The engine, or the decoder.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// A checkpoint in memory.
#[derive(Clone, Copy, Debug)]
pub struct Llama2cCheckpoint<'a> {
    shape: DecoderShape,
    values: &'a [u8],
}

impl<'a> Llama2cCheckpoint<'a> {
    /// Reads the sizes and checks the file's length by them.
    ///
    /// # Errors
    /// [`Llama2cError`] names what is wrong.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Llama2cError> {
        let (header, values) = bytes
            .split_at_checked(4 * SIZES)
            .ok_or(Llama2cError::Sizes("it is shorter than its header"))?;
        let mut sizes = [0_i64; SIZES];
        for (size, bytes) in sizes.iter_mut().zip(header.as_chunks::<4>().0) {
            *size = i32::from_le_bytes(*bytes).into();
        }
        let [
            dim,
            intermediate,
            layers,
            heads,
            kv_heads,
            vocabulary,
            context,
        ] = sizes;
        // A negative vocabulary says that the head is a matrix of its own.
        let tied = vocabulary > 0;
        let others = [
            dim,
            intermediate,
            layers,
            heads,
            kv_heads,
            vocabulary.abs(),
            context,
        ];
        if others.iter().any(|size| !(1..=1 << 24).contains(size)) {
            return Err(Llama2cError::Sizes("a size is zero, negative or huge"));
        }
        if dim % heads != 0 || heads % kv_heads != 0 || dim / heads % 2 != 0 {
            return Err(Llama2cError::Sizes("its heads do not divide its width"));
        }
        let [
            dim,
            intermediate,
            layers,
            heads,
            kv_heads,
            vocabulary,
            context,
        ] = others.map(|size| size as usize);
        let shape = DecoderShape {
            dim,
            layers: layers as u32,
            heads,
            kv_heads,
            head_dim: dim / heads,
            intermediate,
            vocabulary,
            context,
            tied,
            ..DecoderShape::LLAMA
        };
        let checkpoint = Self { shape, values };
        let tensors = DecoderTensor::all(&shape).into_iter();
        let of_layers: usize = tensors.map(|tensor| size_of(tensor, &shape)).sum();
        // Between the last norm and the head lie the angles' cosines and sines.
        let expected = 4 * (of_layers + context * shape.head_dim);
        if values.len() != expected {
            return Err(Llama2cError::Length {
                expected: 4 * SIZES + expected,
                found: bytes.len(),
            });
        }
        Ok(checkpoint)
    }

    /// The decoder's sizes.
    pub fn shape(&self) -> &DecoderShape {
        &self.shape
    }

    /// The decoder on an engine, its matrices kept in this precision.
    ///
    /// # Errors
    /// [`Llama2cError::Load`].
    pub fn load<E: Engine>(
        &self,
        engine: &mut E,
        precision: WeightPrecision,
        adapter: DecoderAdapter,
    ) -> Result<Decoder<E::Tensor>, Llama2cError> {
        Decoder::build(self.shape, adapter, |tensor| {
            let shape = tensor.shape(&self.shape);
            let precision = tensor.precision(precision);
            let values = self.tensor(tensor);
            let tensor = engine.frozen_in(precision, &values, shape);
            tensor.map_err(|error| LoadError::from(error).into())
        })
    }

    /// The embeddings of these tokens, `[tokens, dim]`; none if one is not in the vocabulary.
    pub fn embeddings(&self, tokens: &[u32]) -> Option<Vec<f32>> {
        let dim = self.shape.dim;
        let table = self.tensor(DecoderTensor::Word);
        let row = |&token: &u32| table.chunks_exact(dim).nth(token as usize);
        let rows: Option<Vec<&[f32]>> = tokens.iter().map(row).collect();
        Some(rows?.concat())
    }

    /// A tensor's values in the engine's order.
    fn tensor(&self, tensor: DecoderTensor) -> Vec<f32> {
        let [rows, columns] = tensor.shape(&self.shape);
        let start = self.start(tensor);
        let bytes = &self.values[4 * start..4 * (start + rows * columns)];
        let values: Vec<f32> = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        match tensor {
            DecoderTensor::Weight(_, DecoderTarget::Q | DecoderTarget::K) => {
                transpose(&self.halves(&values, rows), columns, rows)
            }
            DecoderTensor::Weight(..) | DecoderTensor::LanguageHead => {
                transpose(&values, columns, rows)
            }
            _ => values,
        }
    }

    /// Rows `[out, in]` of queries or keys with the even ones of each head before the odd ones.
    fn halves(&self, values: &[f32], inputs: usize) -> Vec<f32> {
        let head = self.shape.head_dim * inputs;
        let rows = |head: &[f32], first: usize| -> Vec<f32> {
            head.chunks_exact(inputs)
                .skip(first)
                .step_by(2)
                .flatten()
                .copied()
                .collect()
        };
        values
            .chunks_exact(head)
            .flat_map(|head| [rows(head, 0), rows(head, 1)].concat())
            .collect()
    }

    /// Where a tensor begins: kinds one after the other, each for all blocks.
    fn start(&self, tensor: DecoderTensor) -> usize {
        let shape = &self.shape;
        let [q, k, v, o, gate, up, down] = DecoderTarget::ALL;
        let norm =
            |place: fn(u32) -> DecoderNorm| move |layer| DecoderTensor::NormGain(place(layer));
        let weight = |target| move |layer| DecoderTensor::Weight(layer, target);
        let of_layers: [&dyn Fn(u32) -> DecoderTensor; 9] = [
            &norm(DecoderNorm::Attention),
            &weight(q),
            &weight(k),
            &weight(v),
            &weight(o),
            &norm(DecoderNorm::Mlp),
            &weight(gate),
            &weight(down),
            &weight(up),
        ];
        let last = DecoderTensor::NormGain(DecoderNorm::Last);
        let blocks = of_layers
            .iter()
            .flat_map(|kind| (0..shape.layers).map(kind));
        let mut start = 0;
        for known in [DecoderTensor::Word]
            .into_iter()
            .chain(blocks)
            .chain([last])
        {
            if known == tensor {
                return start;
            }
            start += size_of(known, shape);
        }
        // The head comes last, after the angles.
        start + shape.context * shape.head_dim
    }
}

fn size_of(tensor: DecoderTensor, shape: &DecoderShape) -> usize {
    let [rows, columns] = tensor.shape(shape);
    rows * columns
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn file(sizes: [i32; SIZES], values: usize) -> Vec<u8> {
        let numbers = (0..values).map(|value| value as f32);
        let header = sizes.iter().flat_map(|size| size.to_le_bytes());
        header.chain(numbers.flat_map(f32::to_le_bytes)).collect()
    }

    #[test]
    fn tensors_lie_one_kind_after_the_other_and_heads_are_halved() {
        // dim 4, intermediate 3, 2 blocks, 1 head, 1 of keys, 5 tokens, 6 positions.
        let sizes = [4, 3, 2, 1, 1, 5, 6];
        let values = 5 * 4 + 2 * (4 + 4 * 16 + 4 + 3 * 12) + 4 + 6 * 4;
        let bytes = file(sizes, values);
        let checkpoint = Llama2cCheckpoint::read(&bytes).unwrap();
        let gain = DecoderTensor::NormGain(DecoderNorm::Attention(1));
        assert_eq!(checkpoint.tensor(gain), [24.0, 25.0, 26.0, 27.0]);
        // Of rows 0 to 3 of `wq`, at 28, come 0, 2, 1, 3; then they are columns.
        let q = checkpoint.tensor(DecoderTensor::Weight(0, DecoderTarget::Q));
        assert_eq!(q[..4], [28.0, 36.0, 32.0, 40.0]);
        let last = checkpoint.tensor(DecoderTensor::NormGain(DecoderNorm::Last));
        assert_eq!(last[3], (values - 6 * 4 - 1) as f32);
        let rows = [8.0, 9.0, 10.0, 11.0, 0.0, 1.0, 2.0, 3.0];
        assert_eq!(checkpoint.embeddings(&[2, 0]), Some(rows.to_vec()));
        assert_eq!(checkpoint.embeddings(&[4, 5]), None);
        assert!(matches!(
            Llama2cCheckpoint::read(&bytes[..bytes.len() - 4]),
            Err(Llama2cError::Length { .. })
        ));
        assert!(matches!(
            Llama2cCheckpoint::read(&file([4, 3, 2, 3, 1, 5, 6], 9)),
            Err(Llama2cError::Sizes(_))
        ));
        assert!(matches!(
            Llama2cCheckpoint::read(b"x"),
            Err(Llama2cError::Sizes(_))
        ));
    }
}
