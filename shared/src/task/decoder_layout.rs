//! The order of a decoder's payload: for each block and each linear layer LoRA's A, then B; biases by
//! block; norms by block, then the last one's; bottlenecks by block; keys, then values of virtual tokens
//! by block; and last what makes the embeddings of virtual tokens.

use super::layout::{AdapterLayout, PartKind};
use super::{
    DecoderNorm, DecoderStyle, EncoderShape, LanguageConfig, TaskError, VirtualTokens,
    VirtualTokensConfig,
};

/// A matrix or vector of a bottleneck, in the payload's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BottleneckPart {
    /// `[dim, width]`.
    Down,
    /// `[1, width]`.
    DownBias,
    /// `[width, dim]`.
    Up,
    /// `[1, dim]`.
    UpBias,
}

/// A matrix or vector of a prompt encoder, in the payload's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptEncoderPart {
    /// `[num_virtual_tokens, width]`.
    Embeddings,
    /// `[width, width]`.
    Hidden,
    /// `[1, width]`.
    HiddenBias,
    /// `[width, dim]`.
    Output,
    /// `[1, dim]`.
    OutputBias,
}

/// The parts of one language task, pushed in order.
pub(super) struct DecoderLayout<'a> {
    pub(super) shape: &'a EncoderShape,
    pub(super) language: &'a LanguageConfig,
}

impl DecoderLayout<'_> {
    /// Adds all that is trained.
    pub(super) fn push_to(&self, layout: &mut AdapterLayout) -> Result<(), TaskError> {
        self.push_lora(layout)?;
        self.push_biases(layout)?;
        if self.language.adapter.norms {
            self.push_norms(layout)?;
        }
        self.push_bottlenecks(layout)?;
        match self.language.adapter.virtual_tokens {
            Some(tokens) => self.push_virtual_tokens(layout, tokens),
            None => Ok(()),
        }
    }

    fn push_lora(&self, layout: &mut AdapterLayout) -> Result<(), TaskError> {
        let Some(lora) = &self.language.adapter.lora else {
            return Ok(());
        };
        let rank = usize::from(lora.rank);
        for layer in 0..self.shape.layers {
            for &target in &lora.targets {
                let [rows, columns] = target.shape(self.shape, &self.language.decoder);
                layout.push(PartKind::DecoderLoraA { layer, target }, [rows, rank])?;
                layout.push(PartKind::DecoderLoraB { layer, target }, [rank, columns])?;
            }
        }
        Ok(())
    }

    fn push_biases(&self, layout: &mut AdapterLayout) -> Result<(), TaskError> {
        for layer in 0..self.shape.layers {
            for &target in &self.language.adapter.biases {
                let [_, columns] = target.shape(self.shape, &self.language.decoder);
                layout.push(PartKind::DecoderBias { layer, target }, [1, columns])?;
            }
        }
        Ok(())
    }

    fn push_norms(&self, layout: &mut AdapterLayout) -> Result<(), TaskError> {
        let decoder = &self.language.decoder;
        let dim = self.shape.dim as usize;
        let has_bias = decoder.style == DecoderStyle::Gpt2;
        let of_stream = |layout: &mut AdapterLayout, norm| {
            layout.push(PartKind::DecoderNormGain(norm), [1, dim])?;
            if has_bias {
                layout.push(PartKind::DecoderNormBias(norm), [1, dim])?;
            }
            Ok(())
        };
        for layer in 0..self.shape.layers {
            of_stream(layout, DecoderNorm::Attention { layer })?;
            of_stream(layout, DecoderNorm::Mlp { layer })?;
            if decoder.head_norms {
                let head_dim = decoder.head_dim as usize;
                for norm in [DecoderNorm::Queries { layer }, DecoderNorm::Keys { layer }] {
                    layout.push(PartKind::DecoderNormGain(norm), [1, head_dim])?;
                }
            }
        }
        of_stream(layout, DecoderNorm::Last)
    }

    fn push_bottlenecks(&self, layout: &mut AdapterLayout) -> Result<(), TaskError> {
        let Some(bottleneck) = self.language.adapter.bottleneck else {
            return Ok(());
        };
        let (dim, width) = (self.shape.dim as usize, bottleneck.width as usize);
        let parts = [
            (BottleneckPart::Down, [dim, width]),
            (BottleneckPart::DownBias, [1, width]),
            (BottleneckPart::Up, [width, dim]),
            (BottleneckPart::UpBias, [1, dim]),
        ];
        for layer in 0..self.shape.layers {
            for (part, shape) in parts {
                layout.push(PartKind::Bottleneck { layer, part }, shape)?;
            }
        }
        Ok(())
    }

    fn push_virtual_tokens(
        &self,
        layout: &mut AdapterLayout,
        tokens: VirtualTokensConfig,
    ) -> Result<(), TaskError> {
        let rows = usize::from(tokens.num_virtual_tokens);
        let dim = self.shape.dim as usize;
        match tokens.trained {
            VirtualTokens::SoftPrompt => layout.push(PartKind::SoftPrompt, [rows, dim]),
            VirtualTokens::PromptEncoder { width } => {
                let width = width as usize;
                let parts = [
                    (PromptEncoderPart::Embeddings, [rows, width]),
                    (PromptEncoderPart::Hidden, [width, width]),
                    (PromptEncoderPart::HiddenBias, [1, width]),
                    (PromptEncoderPart::Output, [width, dim]),
                    (PromptEncoderPart::OutputBias, [1, dim]),
                ];
                parts
                    .into_iter()
                    .try_for_each(|(part, shape)| layout.push(PartKind::PromptEncoder(part), shape))
            }
            VirtualTokens::Prefix => {
                let decoder = &self.language.decoder;
                let columns = (decoder.kv_heads as usize).saturating_mul(decoder.head_dim as usize);
                for layer in 0..self.shape.layers {
                    layout.push(PartKind::PrefixKeys { layer }, [rows, columns])?;
                    layout.push(PartKind::PrefixValues { layer }, [rows, columns])?;
                }
                Ok(())
            }
        }
    }
}
