//! A text that a decoder goes on with, for JavaScript: what was read of it stays on the device.

use wasm_bindgen::JsValue;

use super::views::SamplingView;
use crate::api::device::DeviceEngine;
use crate::api::error::ApiError;
use crate::engine::Engine;
use crate::generate::Continuation;
use crate::language::sampling::Sampler;
use crate::model::Decoder;

type Tensor = <DeviceEngine as Engine>::Tensor;

/// A text under way.
pub(in crate::api) struct Text {
    continuation: Continuation<Tensor>,
    sampler: Sampler,
    tokens: Vec<u32>,
}

impl Text {
    /// An empty text with the room that the settings, or else the model's context, give it.
    pub(in crate::api) fn start(
        engine: &mut DeviceEngine,
        decoder: &Decoder<Tensor>,
        settings: JsValue,
    ) -> Result<Self, ApiError> {
        let settings = SamplingView::read(settings)?;
        let sampler = Sampler::new(settings.sampling())?;
        let context = decoder.shape().context;
        let capacity = settings.capacity.unwrap_or(context).min(context);
        Ok(Self {
            continuation: Continuation::new(engine, decoder, capacity)?,
            sampler,
            tokens: Vec::new(),
        })
    }

    /// Reads tokens; yields the one that follows, which is not read yet.
    pub(in crate::api) async fn next(
        &mut self,
        engine: &mut DeviceEngine,
        decoder: &Decoder<Tensor>,
        tokens: &[u32],
    ) -> Result<u32, ApiError> {
        let logits = self.continuation.read(engine, decoder, tokens).await?;
        self.tokens.extend(tokens);
        Ok(self.sampler.next(&logits, &self.tokens)?)
    }

    /// Forgets all but its first `count` tokens; other settings choose the next ones.
    pub(in crate::api) fn rewind(
        &mut self,
        decoder: &Decoder<Tensor>,
        count: usize,
        settings: JsValue,
    ) -> Result<(), ApiError> {
        let sampler = Sampler::new(SamplingView::read(settings)?.sampling())?;
        let prompt = decoder.adapter().num_virtual_tokens() as usize;
        self.continuation
            .rewind(if count == 0 { 0 } else { prompt + count })?;
        self.tokens.truncate(count);
        self.sampler = sampler;
        Ok(())
    }
}
