//! From a checkpoint's tensors to a decoder on an engine: one file or several, in any chunking.

use std::collections::BTreeMap;

use super::checkpoint::{self, Layout, Source};
use super::config::Architecture;
use super::decoder::{Decoder, DecoderAdapter, DecoderShape, DecoderTensor};
use super::loader::{LoadError, transpose};
use super::weights::{FileTensor, SafetensorsReader};
use crate::engine::Engine;
use crate::engine::quantised::WeightPrecision;

/// Takes a checkpoint's bytes, file after file, and sends each tensor to the engine when it is
/// complete.
#[derive(Debug)]
pub struct DecoderLoader<T> {
    architecture: Architecture,
    shape: DecoderShape,
    precision: WeightPrecision,
    reader: SafetensorsReader,
    /// What is still to come, by name without prefix.
    wanted: BTreeMap<String, Vec<Source>>,
    loaded: BTreeMap<DecoderTensor, T>,
}

impl<T: Clone> DecoderLoader<T> {
    /// Expects the tensors of a decoder of this shape, its matrices to be kept in this precision.
    pub fn new(
        architecture: Architecture,
        shape: DecoderShape,
        precision: WeightPrecision,
    ) -> Self {
        Self {
            architecture,
            shape,
            precision,
            reader: SafetensorsReader::default(),
            wanted: checkpoint::sources(architecture, &shape),
            loaded: BTreeMap::new(),
        }
    }

    /// Takes the next bytes of a file.
    ///
    /// # Errors
    /// [`LoadError`]; all but `Missing`.
    pub fn push<E: Engine<Tensor = T>>(
        &mut self,
        engine: &mut E,
        bytes: &[u8],
    ) -> Result<(), LoadError> {
        let mut reader = core::mem::take(&mut self.reader);
        let outcome = reader.push(bytes, |file| self.take(engine, file));
        self.reader = reader;
        outcome
    }

    /// Ends a file; another may follow.
    ///
    /// # Errors
    /// [`LoadError::Weights`] if bytes of it are missing.
    pub fn end_file(&mut self) -> Result<(), LoadError> {
        self.reader.finish()?;
        self.reader = SafetensorsReader::default();
        Ok(())
    }

    /// The decoder, with an adapter in its layers.
    ///
    /// # Errors
    /// [`LoadError::Missing`] if tensors are.
    pub fn finish(mut self, adapter: DecoderAdapter) -> Result<Decoder<T>, LoadError> {
        if !self.wanted.is_empty() {
            return Err(LoadError::Missing(self.wanted.into_keys().collect()));
        }
        Decoder::build(self.shape, adapter, |tensor| {
            self.loaded
                .remove(&tensor)
                .ok_or_else(|| LoadError::Missing(vec![format!("{tensor:?}")]))
        })
    }

    fn take<E: Engine<Tensor = T>>(
        &mut self,
        engine: &mut E,
        mut file: FileTensor,
    ) -> Result<(), LoadError> {
        let prefix = checkpoint::prefix(self.architecture);
        let plain = file.name.strip_prefix(prefix).unwrap_or(&file.name);
        let Some(sources) = self.wanted.remove(plain) else {
            if checkpoint::is_unused(self.architecture, &self.shape, plain) {
                return Ok(());
            }
            return Err(self.unknown(&file.name));
        };
        for source in sources {
            let (values, shape) = self.values_of(&source, &mut file)?;
            let precision = source.tensor.precision(self.precision);
            let tensor = engine.frozen_in(precision, &values, shape)?;
            self.loaded.insert(source.tensor, tensor);
        }
        Ok(())
    }

    /// Values in the engine's order, and their shape there.
    fn values_of(
        &self,
        source: &Source,
        file: &mut FileTensor,
    ) -> Result<(Vec<f32>, [usize; 2]), LoadError> {
        let shape @ [rows, columns] = source.tensor.shape(&self.shape);
        let whole = match (&source.columns, source.layout) {
            (_, Layout::OutIn) => [columns, rows],
            (Some(_), Layout::Same) => [rows, 3 * self.shape.dim],
            (None, Layout::Same) => shape,
        };
        // A vector has one dimension in the file.
        let expected = match whole {
            [1, columns] if is_vector(source.tensor) => vec![columns],
            whole => whole.to_vec(),
        };
        if file.shape != expected || file.values.len() != whole[0] * whole[1] {
            return Err(LoadError::Shape {
                name: file.name.clone(),
                expected,
                found: file.shape.clone(),
            });
        }
        let values = match (&source.columns, source.layout) {
            (_, Layout::OutIn) => transpose(&file.values, columns, rows),
            (Some(part), Layout::Same) => file
                .values
                .chunks_exact(whole[1])
                .flat_map(|row| &row[part.clone()])
                .copied()
                .collect(),
            // Nothing else is made of it, and a word table is large.
            (None, Layout::Same) => core::mem::take(&mut file.values),
        };
        Ok((values, shape))
    }

    /// A tensor that is none of a decoder's, beside those that are read.
    fn unknown(&self, name: &str) -> LoadError {
        let known = checkpoint::sources(self.architecture, &self.shape)
            .into_keys()
            .map(|name| name.replacen(".0.", ".N.", 1))
            .filter(|name| !name.split('.').any(|part| part.parse::<u32>().is_ok()))
            .collect::<Vec<_>>();
        LoadError::UnknownTensor {
            name: name.to_owned(),
            known: known.join(", "),
        }
    }
}

fn is_vector(tensor: DecoderTensor) -> bool {
    matches!(
        tensor,
        DecoderTensor::NormGain(_)
            | DecoderTensor::NormBias(_)
            | DecoderTensor::QueryNorm(_)
            | DecoderTensor::KeyNorm(_)
            | DecoderTensor::Bias(..)
    )
}
