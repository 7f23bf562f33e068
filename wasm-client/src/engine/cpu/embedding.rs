//! Token ids to rows, and the gradient of the rows that are trained.

use std::borrow::Cow;

use super::CpuKernels;
use super::buffer::CpuBuffer;
use super::rows::Sequences;
use crate::engine::{EmbeddingTables, EngineError, Parameter};

impl CpuKernels {
    pub(super) fn embed_rows(
        &mut self,
        tables: &EmbeddingTables<CpuBuffer>,
        prompt: Option<&Parameter>,
        out: &CpuBuffer,
        dim: usize,
    ) -> Result<(), EngineError> {
        let (word, position) = (tables.word.values(), tables.position.values());
        let mut dequantised = vec![0.0; dim];
        let token_type = tables.token_type.as_ref().map(CpuBuffer::values);
        let token_type = token_type.as_deref().map(|types| &types[..dim]);
        let prompt = self.prompt_rows(prompt, dim);
        let mut out = out.values_mut();
        let mut rows = out.chunks_exact_mut(dim);
        for pair in self.batch.token_starts.windows(2) {
            let tokens = &self.batch.tokens[pair[0] as usize..pair[1] as usize];
            let mut positions = position.chunks_exact(dim).skip(self.batch.past as usize);
            let mut add = |source: &[f32]| {
                let (Some(position), Some(row)) = (positions.next(), rows.next()) else {
                    return;
                };
                for ((out, source), position) in row.iter_mut().zip(source).zip(position) {
                    *out = source + position;
                }
                if let Some(token_type) = token_type {
                    row.iter_mut()
                        .zip(token_type)
                        .for_each(|(out, kind)| *out += kind);
                }
            };
            prompt.chunks_exact(dim).for_each(&mut add);
            for &token in tokens {
                match tables.word.matrix() {
                    Some(matrix) => {
                        matrix.dequantise(token as usize, 0..dim, &mut dequantised);
                        add(&dequantised);
                    }
                    None => add(&word[token as usize * dim..][..dim]),
                }
            }
        }
        Ok(())
    }

    /// The virtual tokens' rows: the prompt's, zero without one.
    pub(super) fn prompt_rows(&self, prompt: Option<&Parameter>, dim: usize) -> Cow<'_, [f32]> {
        match prompt {
            Some(prompt) => Cow::Borrowed(self.trained(&prompt.range)),
            None => Cow::Owned(vec![0.0; self.batch.num_virtual_tokens as usize * dim]),
        }
    }

    pub(super) fn sum_prompt_rows(
        &mut self,
        d_x: &CpuBuffer,
        prompt: &Parameter,
    ) -> Result<(), EngineError> {
        let [virtual_tokens, dim] = prompt.shape;
        let d_x = d_x.values();
        let d_prompt = &mut self.gradient[prompt.range.clone()];
        d_prompt.fill(0.0);
        let sequences = Sequences {
            row_starts: &self.row_starts,
            virtual_tokens,
        };
        for row in sequences.first_rows() {
            for (sum, d_x) in d_prompt.iter_mut().zip(&d_x[row * dim..]) {
                *sum += d_x;
            }
        }
        Ok(())
    }
}
