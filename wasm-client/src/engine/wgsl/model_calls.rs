//! The ends of the model as queued calls: embedding, pooling, loss.

use super::super::{EmbeddingTables, EngineError, Parameter};
use super::WgslKernels;
use super::batch::Largest;
use super::commands::Dispatch;
use super::memory::GpuBuffer;
use super::shader::{Shader, linear_groups};
use super::split::Part;

/// Where the prompt begins if there is none: virtual tokens are zero then.
pub(super) const NO_PROMPT: u32 = u32::MAX;

impl WgslKernels {
    /// A prompt has as many rows as there are virtual tokens.
    pub(super) fn check_prompt(&self, prompt: Option<&Parameter>) -> Result<(), EngineError> {
        let virtual_token = self.batch.largest.virtual_token;
        prompt.map_or(Ok(()), |prompt| {
            Largest::check("virtual token", virtual_token, prompt.shape[0])
        })
    }

    pub(super) fn queue_embed(
        &mut self,
        tables: &EmbeddingTables<GpuBuffer>,
        prompt: Option<&Parameter>,
        out: &GpuBuffer,
        dim: usize,
    ) -> Result<(), EngineError> {
        let dim4 = Self::vectors("dim", dim)?;
        let EmbeddingTables {
            word,
            position,
            token_type,
        } = tables;
        Largest::check("token id", self.batch.largest.token, word.rows)?;
        Largest::check("position", self.batch.largest.position, position.rows)?;
        self.check_prompt(prompt)?;
        let count = self.batch.row_count as u32 * dim4;
        out.expect("embedded rows", count as usize * 4)?;
        word.expect_matrix("word table", [word.rows, dim])?;
        position.expect("position table", position.rows * dim)?;
        if let Some(types) = token_type {
            types.expect("type table", dim)?;
        }
        let offset = prompt.map_or(NO_PROMPT, |prompt| prompt.range.start as u32);
        let typed = u32::from(token_type.is_some());
        for Part { first, matrix } in word.parts() {
            let mut buffers = vec![
                &self.batch.rows,
                &matrix,
                position,
                // Something must be bound; without types it is not read.
                token_type.as_ref().unwrap_or(position),
                &self.adapter.flat,
            ];
            buffers.extend(matrix.scales.as_ref().map(|scales| &scales.values));
            buffers.push(out);
            let [first, rows, padded_rows] =
                [first, matrix.rows, matrix.rows.next_multiple_of(4)].map(|rows| rows as u32);
            self.commands.dispatch(
                &self.device,
                &Dispatch {
                    shader: Shader::Embed(matrix.integers()),
                    buffers: &buffers,
                    words: &[count, dim4, offset, padded_rows, first, rows, typed],
                    groups: linear_groups(count),
                },
            )?;
        }
        Ok(())
    }

    pub(super) fn queue_prompt_gradient(
        &mut self,
        d_x: &GpuBuffer,
        prompt: &Parameter,
    ) -> Result<(), EngineError> {
        let [rows, dim] = prompt.shape;
        let count = (rows * dim) as u32;
        d_x.expect("gradient of the embedded rows", self.batch.row_count * dim)?;
        self.adapter.gradient.expect("gradient", prompt.range.end)?;
        let batch = self.batch.sequence_count as u32;
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::PromptGradient,
                buffers: &[&self.batch.sequences, d_x, &self.adapter.gradient],
                words: &[count, dim as u32, batch, prompt.range.start as u32],
                groups: linear_groups(count),
            },
        )
    }

    pub(super) fn queue_mean_pool(
        &mut self,
        x: &GpuBuffer,
        out: &GpuBuffer,
        dim: usize,
    ) -> Result<(), EngineError> {
        let dim4 = Self::vectors("dim", dim)?;
        let count = self.batch.sequence_count as u32 * dim4;
        x.expect("rows to be pooled", self.batch.row_count * dim)?;
        out.expect("pooled rows", self.batch.sequence_count * dim)?;
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::MeanPool,
                buffers: &[&self.batch.sequences, x, out],
                words: &[count, dim4],
                groups: linear_groups(count),
            },
        )
    }

    pub(super) fn queue_mean_pool_gradient(
        &mut self,
        d_out: &GpuBuffer,
        d_x: &GpuBuffer,
        dim: usize,
    ) -> Result<(), EngineError> {
        let dim4 = Self::vectors("dim", dim)?;
        let count = self.batch.row_count as u32 * dim4;
        d_out.expect("pooled rows", self.batch.sequence_count * dim)?;
        d_x.expect("gradient of the pooled rows", self.batch.row_count * dim)?;
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::MeanPoolGradient,
                buffers: &[&self.batch.sequences, &self.batch.rows, d_out, d_x],
                words: &[count, dim4],
                groups: linear_groups(count),
            },
        )
    }

    pub(super) fn queue_cross_entropy(
        &mut self,
        logits: &GpuBuffer,
        d_logits: &GpuBuffer,
        classes: usize,
    ) -> Result<(), EngineError> {
        Largest::check("label", self.batch.largest.label, classes)?;
        self.losses.len = 1;
        let values = self.batch.sequence_count * classes;
        logits.expect("logits", values)?;
        d_logits.expect("gradient of the logits", values)?;
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::CrossEntropy,
                buffers: &[&self.batch.sequences, logits, d_logits, &self.losses.parts],
                words: &[self.batch.sequence_count as u32, classes as u32],
                groups: [1, 1, 1],
            },
        )
    }
}
