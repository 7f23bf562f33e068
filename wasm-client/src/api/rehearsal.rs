//! Either side of a round, played again for a bench; and masks, for a test that holds them against
//! another implementation. Not in any module that is served.

use choir_shared::ids::Digest;
use choir_shared::secure_sum::{self, MaskKey, Ring, Sign};
use choir_shared::wire;
use wasm_bindgen::prelude::wasm_bindgen;

use super::error::ApiError;
use crate::rehearsal::{self, AggregatorPlay, ClientPart, RehearsalError, Said, Scene};

impl From<RehearsalError> for ApiError {
    fn from(error: RehearsalError) -> Self {
        Self::new("rehearsal", &error)
    }
}

/// Adds a mask to a vector, or subtracts it, from the coordinate `first` on.
#[wasm_bindgen(js_name = addMask)]
pub fn add_mask(
    vector: &mut [u32],
    key: &[u8],
    bits: u8,
    first: u32,
    subtract: bool,
) -> Result<(), ApiError> {
    let key: [u8; 32] = key
        .try_into()
        .map_err(|error| ApiError::new("bad-input", &error))?;
    let ring = Ring::new(bits).ok_or_else(|| ApiError::new("bad-input", &"no such ring"))?;
    let sign = if subtract { Sign::Minus } else { Sign::Plus };
    secure_sum::add_mask_from(
        vector,
        &MaskKey::new(key.into()),
        sign,
        ring,
        first as usize,
    );
    Ok(())
}

/// A client's side.
#[wasm_bindgen]
pub struct ClientRehearsal {
    part: ClientPart,
    plain: Scene,
    noisy: Scene,
    values: Vec<f32>,
}

#[wasm_bindgen]
impl ClientRehearsal {
    /// Of the bytes of a part.
    #[wasm_bindgen(constructor)]
    pub fn new(part: &[u8]) -> Result<Self, ApiError> {
        let part = ClientPart::from_bytes(part)?;
        let scene = |noise| Scene {
            noise,
            ..part.scene
        };
        Ok(Self {
            plain: scene(false),
            noisy: scene(true),
            values: part.scene.values(part.client),
            part,
        })
    }

    /// All that the client does, from the update's floats on.
    pub fn play(&self) -> Result<(), ApiError> {
        Ok(self.part.play(&self.values)?)
    }

    /// Only the freezing of the update, with or without noise.
    pub fn freeze(&self, noise: bool) -> Result<(), ApiError> {
        let scene = if noise { &self.noisy } else { &self.plain };
        Ok(rehearsal::freeze(scene, &self.values)?)
    }
}

/// The aggregator's side.
#[wasm_bindgen]
pub struct AggregatorRehearsal(AggregatorPlay);

#[wasm_bindgen]
impl AggregatorRehearsal {
    /// The open round of a scene.
    #[wasm_bindgen(constructor)]
    pub fn new(scene: &[u8]) -> Result<Self, ApiError> {
        let scene: Scene = decode(scene)?;
        Ok(Self(AggregatorPlay::open(scene.setup())?))
    }

    /// Bytes of a packed vector, with which an upload's body ends.
    #[wasm_bindgen(js_name = packedBytes)]
    pub fn packed_bytes(&self) -> u32 {
        self.0.packed_bytes() as u32
    }

    /// Lets it hear a list of what was said.
    pub fn hear(&mut self, said: &[u8]) -> Result<(), ApiError> {
        let said: Vec<Said> = decode(said)?;
        for said in &said {
            self.0.hear(said, |_, _| {})?;
        }
        Ok(())
    }

    /// Lets it have an upload; `digest` is SHA-256 of its words.
    pub fn take(&mut self, body: &[u8], digest: &[u8]) -> Result<(), ApiError> {
        let digest = digest
            .try_into()
            .map_err(|error| ApiError::new("bad-input", &error))?;
        Ok(self.0.take(body, Digest(digest), |_, _| {})?)
    }

    /// Expands the masks.
    pub fn expand(&mut self) -> Result<(), ApiError> {
        Ok(self.0.expand(|_, _| {})?)
    }

    /// How many masks were expanded.
    pub fn masks(&self) -> u32 {
        self.0.masks as u32
    }

    /// SHA-256 of the sum in hex; empty before the end.
    pub fn sum(&self) -> String {
        self.0.sum().map_or_else(String::new, |sum| sum.to_string())
    }
}

fn decode<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ApiError> {
    wire::decode(bytes, usize::MAX).map_err(|error| ApiError::new("bad-input", &error))
}
