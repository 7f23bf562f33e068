//! Masks of a finished round: expanded here where that is quick, else by lanes, which are other
//! objects, each for a range of coordinates.
//!
//! A lane that fails is asked again by the alarm: what it is asked for is made anew from the opened
//! shares, which are stored.

use core::ops::Range;

use choir_shared::ids::Timestamp;
use choir_shared::reject::Reject;
use choir_shared::round::{Effect, Event, Round};

use super::RoundObject;
use super::live::Stage;
use crate::clock::{now, set_alarm};
use crate::error::EdgeError;
use crate::internal;
use crate::lane_object::{self, Lane};
use crate::limits::{LANE_MASK_WORDS, LANE_RETRY_MS};

/// Ranges of `coordinates` such that no lane expands more than [`LANE_MASK_WORDS`].
fn lanes(coordinates: usize, masks: usize) -> Vec<Range<usize>> {
    let count = (coordinates * masks).div_ceil(LANE_MASK_WORDS).max(1);
    // A multiple of 64 words is a whole number of cipher blocks, in every ring.
    let length = coordinates.div_ceil(count).next_multiple_of(64);
    (0..coordinates)
        .step_by(length.max(1))
        .map(|start| start..coordinates.min(start + length))
        .collect()
}

/// Expands in this object what one lane would do.
pub(super) fn expand_here(
    round: &mut Round,
    mut effects: Vec<Effect>,
    now: Timestamp,
) -> Result<Vec<Effect>, Reject> {
    let coordinates = round.coordinates();
    let Some(place) = effects.iter().position(|effect| *effect == Effect::Expand) else {
        return Ok(effects);
    };
    let Some(masks) = round.expansion().and_then(|expansion| {
        let small = lanes(coordinates, expansion.len()).len() <= 1;
        small.then(|| expansion.expand(0..coordinates))
    }) else {
        return Ok(effects);
    };
    effects.splice(place..=place, round.handle(Event::Expanded(masks), now)?);
    Ok(effects)
}

impl RoundObject {
    /// Has the masks expanded by lanes, and gives their sum to the round.
    pub(super) async fn expand(&self) -> Result<(), EdgeError> {
        // Should this object be gone before they answer, the alarm asks again.
        set_alarm(&self.state, now().after(LANE_RETRY_MS)).await?;
        let Some((round, lanes, expansion)) = self.read(|live| match &live.stage {
            Stage::Open(round) => round.expansion().map(|expansion| {
                let lanes = lanes(round.coordinates(), expansion.len());
                (round.setup().round_id, lanes, expansion.to_bytes())
            }),
            _ => None,
        })?
        else {
            return Ok(());
        };
        let mut answers = Vec::new();
        for (number, range) in lanes.into_iter().enumerate() {
            let stub = internal::lane(&self.env, round, number)?;
            let lane = Lane::new(range, &expansion);
            answers.push(async move { lane_object::ask(&stub, &lane).await });
        }
        let mut masks = Vec::new();
        for part in futures_util::future::try_join_all(answers).await? {
            masks.extend(part);
        }
        let given = self.happen(0, move |round, now| {
            round.handle(Event::Expanded(masks), now)
        });
        // Boxed, as what happens may ask for an expansion: only this never does.
        match Box::pin(given).await {
            // Another event has had them expanded meanwhile.
            Err(EdgeError::Rejected { .. }) => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_cover_every_coordinate_once_and_none_does_too_much() {
        for (coordinates, masks) in [(1, 1), (100_000, 550), (1_000_001, 600), (4 << 20, 20_000)] {
            let lanes = lanes(coordinates, masks);
            assert_eq!(lanes[0].start, 0);
            assert_eq!(lanes[lanes.len() - 1].end, coordinates);
            assert!(lanes.windows(2).all(|pair| pair[0].end == pair[1].start));
            // Rounding up to whole blocks may add 63 words of each mask.
            let most = LANE_MASK_WORDS + 64 * masks;
            assert!(lanes.iter().all(|lane| lane.len() * masks <= most));
        }
        assert_eq!(lanes(100_000, 550).len(), 1);
    }
}
