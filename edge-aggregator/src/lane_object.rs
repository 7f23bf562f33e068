//! A lane: one range of coordinates of the masks of a finished round, expanded in an object of its
//! own, so that a large sum is unmasked in several places at once. It keeps nothing.

use core::ops::Range;

use choir_shared::round::aggregator::{words_from_bytes, words_to_bytes};
use choir_shared::secure_sum::Expansion;
use choir_shared::wire::limits::MAX_COORDINATES;
use worker::{DurableObject, Env, Request, Response, State, Stub, durable_object};

use crate::error::EdgeError;
use crate::internal;
use crate::limits::{LANE_MAX_BYTES, declared_length};

/// The Durable Object of one lane.
#[durable_object]
pub struct LaneObject {}

impl DurableObject for LaneObject {
    fn new(_state: State, _env: Env) -> Self {
        Self {}
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        match answer(request).await {
            Ok(answer) => Ok(answer),
            Err(error) => error.into_response(),
        }
    }
}

async fn answer(mut request: Request) -> Result<Response, EdgeError> {
    if request.path() != internal::EXPAND {
        return Err(EdgeError::UnknownRoute);
    }
    declared_length(&request, LANE_MAX_BYTES)?;
    let lane = Lane(request.bytes().await?);
    let (range, expansion) = lane.parts().ok_or(EdgeError::Malformed)?;
    Ok(Response::from_bytes(words_to_bytes(
        &expansion.expand(range),
    ))?)
}

/// What a lane is asked for: first and last coordinate as u32, little-endian, then the masks.
pub struct Lane(Vec<u8>);

impl Lane {
    /// The masks of [`Expansion::to_bytes`] at these coordinates.
    #[must_use]
    pub fn new(coordinates: Range<usize>, expansion: &[u8]) -> Self {
        let place = |coordinate: usize| (coordinate as u32).to_le_bytes();
        Self(
            [
                &place(coordinates.start),
                &place(coordinates.end),
                expansion,
            ]
            .concat(),
        )
    }

    fn parts(&self) -> Option<(Range<usize>, Expansion)> {
        let (places, expansion) = self.0.split_first_chunk::<8>()?;
        let [a, b, c, d, places @ ..] = *places;
        let (start, end) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(places));
        let range = start as usize..end as usize;
        (range.start <= range.end && range.end <= MAX_COORDINATES)
            .then(|| Some((range, Expansion::from_bytes(expansion)?)))?
    }
}

/// Has a lane expand its masks.
///
/// # Errors
/// [`EdgeError::Fault`] where it does not answer, or not with as many words as it was asked for.
pub async fn ask(stub: &Stub, lane: &Lane) -> Result<Vec<u32>, EdgeError> {
    let (range, _) = lane.parts().ok_or(EdgeError::Malformed)?;
    let mut response = internal::post(stub, internal::EXPAND, &lane.0).await?;
    let words = match response.status_code() {
        200 => words_from_bytes(&response.bytes().await?),
        _ => None,
    };
    words
        .filter(|words| words.len() == range.len())
        .ok_or_else(|| EdgeError::Fault("a lane did not answer with its words".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use choir_shared::secure_sum::Ring;

    #[test]
    fn what_a_lane_is_asked_for_survives_the_way() {
        let nothing = Expansion::new(Ring::FULL, Vec::new());
        let lane = Lane::new(64..1_000, &nothing.to_bytes());
        assert_eq!(lane.parts(), Some((64..1_000, nothing.clone())));
        for (start, end) in [(2, 1), (0, MAX_COORDINATES + 1)] {
            assert_eq!(Lane::new(start..end, &nothing.to_bytes()).parts(), None);
        }
        assert_eq!(Lane(vec![0; 7]).parts(), None);
        assert_eq!(Lane(vec![0; 8]).parts(), None);
    }
}
