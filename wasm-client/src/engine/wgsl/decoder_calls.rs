//! What decoders need, as queued calls.

use super::super::decoder::LanguageHead;
use super::super::kernels::decoder::{
    DecoderKernels, LanguageLossCall, RotateCall, StreamNormCall, StreamNormGradient, SwigluCall,
    SwigluGradient,
};
use super::super::kernels::{Kernels, LinearCall, LinearInputGradient};
use super::super::{EngineError, LinearLayer, Parameter, checks};
use super::WgslKernels;
use super::batch::Largest;
use super::commands::Dispatch;
use super::decoder_shader::{DecoderShader, StreamNorm};
use super::memory::GpuBuffer;
use super::model_calls::NO_PROMPT;
use super::shader::{Shader, linear_groups};
use super::split::Part;

/// Rows after which a part of a `[rows, columns]` tensor may begin: with columns in fours, that
/// many rows are whole multiples of the 256 bytes at which WebGPU lets a binding start.
const VIEW_ROWS: usize = 16;
/// Workgroups in one dimension at most.
const MAX_GROUPS: u32 = 65_535;

impl WgslKernels {
    pub(super) fn decoder_dispatch(
        &mut self,
        shader: DecoderShader,
        buffers: &[&GpuBuffer],
        words: &[u32],
        groups: [u32; 3],
    ) -> Result<(), EngineError> {
        let shader = Shader::Decoder(shader);
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader,
                buffers,
                words,
                groups,
            },
        )
    }

    /// Rows of which a chunk of the loss is a multiple: of whole tiles, so that no product writes
    /// beyond its chunk, and of what a binding may begin at.
    fn chunk_unit(&self) -> usize {
        let tile = self.tuning.rows as usize;
        let mut unit = tile;
        while !unit.is_multiple_of(VIEW_ROWS) {
            unit += tile;
        }
        unit
    }

    /// Logits of one chunk of rows.
    pub(super) fn chunk_logits(
        &mut self,
        hidden: &GpuBuffer,
        layer: &LinearLayer<GpuBuffer>,
        tied: bool,
        logits: &GpuBuffer,
        rows: usize,
    ) -> Result<(), EngineError> {
        if tied {
            return self.linear_input_gradient(LinearInputGradient {
                d_y: hidden,
                layer,
                d_low_rank: None,
                d_x: logits,
                add: false,
                rows,
            });
        }
        self.linear(LinearCall {
            x: hidden,
            layer,
            low_rank: None,
            y: logits,
            rows,
        })
    }

    /// Gradient of one chunk's hidden states.
    fn chunk_gradient(
        &mut self,
        d_logits: &GpuBuffer,
        layer: &LinearLayer<GpuBuffer>,
        tied: bool,
        d_hidden: &GpuBuffer,
        rows: usize,
    ) -> Result<(), EngineError> {
        self.chunk_logits(d_logits, layer, !tied, d_hidden, rows)
    }
}

/// The projection to logits as a layer, `true` where it is to be used transposed.
pub(super) fn frozen_head(
    head: &LanguageHead<&GpuBuffer>,
    [dim, vocabulary]: [usize; 2],
) -> (bool, LinearLayer<GpuBuffer>) {
    match head {
        LanguageHead::Separate(weight) => (
            false,
            LinearLayer::frozen((*weight).clone(), [dim, vocabulary]),
        ),
        LanguageHead::Tied(word) => (
            true,
            LinearLayer::frozen((*word).clone(), [vocabulary, dim]),
        ),
    }
}

impl DecoderKernels for WgslKernels {
    fn embed_tokens(
        &mut self,
        word: &GpuBuffer,
        prompt: Option<&Parameter>,
        out: &GpuBuffer,
        dim: usize,
    ) -> Result<(), EngineError> {
        let dim4 = Self::vectors("dim", dim)?;
        Largest::check("token id", self.batch.largest.token, word.rows)?;
        self.check_prompt(prompt)?;
        let count = self.batch.row_count as u32 * dim4;
        out.expect("embedded rows", count as usize * 4)?;
        let offset = prompt.map_or(NO_PROMPT, |prompt| prompt.range.start as u32);
        let (rows, flat) = (self.batch.rows.clone(), self.adapter.flat.clone());
        for Part { first, matrix } in word.parts() {
            let mut buffers = vec![&rows, &matrix, &flat];
            buffers.extend(matrix.scales.as_ref().map(|scales| &scales.values));
            buffers.push(out);
            self.decoder_dispatch(
                DecoderShader::EmbedTokens(matrix.integers()),
                &buffers,
                &[
                    count,
                    dim4,
                    offset,
                    matrix.rows.next_multiple_of(4) as u32,
                    first as u32,
                    matrix.rows as u32,
                ],
                linear_groups(count),
            )?;
        }
        Ok(())
    }

    fn stream_norm(&mut self, call: StreamNormCall<'_, GpuBuffer>) -> Result<(), EngineError> {
        call.check()?;
        let words = [
            call.rows as u32,
            Self::vectors("dim", call.dim)?,
            call.eps.to_bits(),
        ];
        let groups = [words[0].div_ceil(8), 1, 1];
        let norm = StreamNorm {
            adds: call.residual.is_some(),
            centred: call.bias.is_some(),
        };
        let (before, sum) = call
            .residual
            .map(|residual| (residual.before, residual.sum))
            .unzip();
        let read = [Some(call.x), before, Some(call.gain), call.bias];
        let written = [sum, Some(call.rstd), Some(call.y)];
        let buffers: Vec<&GpuBuffer> = read.into_iter().chain(written).flatten().collect();
        self.decoder_dispatch(DecoderShader::StreamNorm(norm), &buffers, &words, groups)
    }

    fn stream_norm_gradient(
        &mut self,
        call: StreamNormGradient<'_, GpuBuffer>,
    ) -> Result<(), EngineError> {
        call.check()?;
        let rows = call.rows as u32;
        self.decoder_dispatch(
            DecoderShader::StreamNormGradient(call.centred),
            &[call.d_y, call.x, call.rstd, call.gain, call.d_x],
            &[rows, Self::vectors("dim", call.dim)?, u32::from(call.add)],
            [rows.div_ceil(8), 1, 1],
        )
    }

    fn rotate(&mut self, call: RotateCall<'_, GpuBuffer>) -> Result<(), EngineError> {
        let positions = self.batch.largest.position.map_or(0, |last| last + 1);
        call.check(self.batch.row_count, positions as usize)?;
        Self::vectors("head_dim", call.head_dim)?;
        let half = call.head_dim / 2;
        let wide = half.is_multiple_of(4);
        let parts = (half / if wide { 4 } else { 2 }) as u32;
        let (first, columns) = call.first;
        let heads = (columns / call.head_dim) as u32;
        // Where there is no second tensor something else is bound, and not touched.
        let unused = self.losses.parts.clone();
        let (second, second_columns) = call.second.unwrap_or((&unused, 0));
        let second_heads = (second_columns / call.head_dim) as u32;
        let count = call.rows as u32 * (heads + second_heads) * parts;
        let sign: f32 = if call.backward { -1.0 } else { 1.0 };
        let rows = self.batch.rows.clone();
        self.decoder_dispatch(
            DecoderShader::Rotate(wide),
            &[&rows, call.table, first, second],
            &[count, heads, second_heads, parts, sign.to_bits()],
            linear_groups(count),
        )
    }

    fn swiglu(&mut self, call: SwigluCall<'_, GpuBuffer>) -> Result<(), EngineError> {
        call.check()?;
        let len4 = call.len.div_ceil(4) as u32;
        let buffers = [call.gate, call.up, call.y];
        let groups = linear_groups(len4);
        self.decoder_dispatch(DecoderShader::Swiglu, &buffers, &[len4], groups)
    }

    fn swiglu_gradient(&mut self, call: SwigluGradient<'_, GpuBuffer>) -> Result<(), EngineError> {
        call.check()?;
        let len4 = call.len.div_ceil(4) as u32;
        let buffers = [call.gate, call.up, call.d_y, call.d_gate, call.d_up];
        let groups = linear_groups(len4);
        self.decoder_dispatch(DecoderShader::SwigluGradient, &buffers, &[len4], groups)
    }

    /// Three calls a chunk. A row's loss is read by itself and added up on this side.
    fn language_loss(&mut self, call: LanguageLossCall<'_, GpuBuffer>) -> Result<(), EngineError> {
        call.check()?;
        let (dim, vocabulary) = (call.dim, call.vocabulary);
        Self::vectors("dim", dim)?;
        checks::length("rows with labels", self.batch.row_count, call.labels.len())?;
        let parts = call.labels.len();
        self.losses
            .expect_parts(&self.device, &mut self.memory, parts)?;
        let weighted: Vec<u32> = call
            .labels
            .iter()
            .zip(call.row_weights())
            .flat_map(|(label, weight)| [*label, weight.to_bits()])
            .collect();
        let labels = &mut self.batch.row_labels;
        Self::fill(&self.device, &mut self.memory, labels, &weighted)?;
        let labels = labels.clone();
        let (tied, layer) = frozen_head(&call.head, [dim, vocabulary]);
        let rows = call.chunk_rows(self.chunk_unit());
        let logits = self.allocate(rows.min(call.labels.len()), vocabulary)?;
        for first in (0..call.labels.len()).step_by(rows) {
            let count = rows.min(call.labels.len() - first);
            let hidden = call.hidden.starting_at(first * dim);
            self.chunk_logits(&hidden, &layer, tied, &logits, count)?;
            let losses = self.losses.parts.clone();
            let across = (count as u32).min(MAX_GROUPS);
            self.decoder_dispatch(
                DecoderShader::LanguageLoss,
                &[&labels, &logits, &losses],
                &[
                    count as u32,
                    vocabulary as u32,
                    first as u32,
                    u32::from(call.d_hidden.is_some()),
                ],
                [across, (count as u32).div_ceil(across), 1],
            )?;
            if let Some(d_hidden) = call.d_hidden {
                let d_hidden = d_hidden.starting_at(first * dim);
                self.chunk_gradient(&logits, &layer, tied, &d_hidden, count)?;
            }
        }
        self.release(logits);
        Ok(())
    }
}
