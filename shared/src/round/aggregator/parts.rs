//! A round as it is stored: a small state, and the sum apart, because only uploads change it.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Phase, Round, RoundSetup, StateError, Terms};
use crate::wire::{self, limits};

#[derive(Serialize)]
struct StateRef<'a> {
    setup: &'a RoundSetup,
    phase: &'a Phase,
}

#[derive(Deserialize)]
struct State {
    setup: RoundSetup,
    phase: Phase,
}

impl Round {
    /// The small state, and the sum where there is one. Both belong into one transaction; the sum's
    /// part has changed since the last call only where an effect said so, and is to be deleted
    /// where it is none.
    #[must_use]
    pub fn to_parts(&self) -> (Vec<u8>, Option<&[u32]>) {
        let state = wire::encode(&StateRef {
            setup: &self.terms.setup,
            phase: &self.phase,
        });
        (state, self.phase.sum().map(Vec::as_slice))
    }

    /// The round of stored parts. Connections that were open count as open: the caller gives
    /// [`Event::Disconnected`](super::Event::Disconnected) for those that it knows to be closed, and
    /// the others have until the deadline to resume.
    ///
    /// # Errors
    /// [`StateError`] if the parts are not a round's.
    pub fn from_parts(state: &[u8], sum: Option<Vec<u32>>) -> Result<Self, StateError> {
        let State { setup, mut phase } = wire::decode(state, limits::ROUND_STATE)?;
        let terms = Terms::new(setup)?;
        match (phase.sum_mut(), sum) {
            (None, None) => {}
            (Some(place), Some(sum)) if sum.len() == terms.ring_len => *place = sum,
            _ => return Err(StateError::Sum),
        }
        Ok(Self { terms, phase })
    }
}

impl Phase {
    const fn sum(&self) -> Option<&Vec<u32>> {
        match self {
            Self::Enroll(_) | Self::ShareKeys(_) | Self::Aborted(_) => None,
            Self::Collect(phase) => Some(&phase.sum),
            Self::Confirm(phase) => Some(&phase.sum),
            Self::Unmask(phase) => Some(&phase.sum),
            Self::Closed(phase) => Some(&phase.sum),
        }
    }

    const fn sum_mut(&mut self) -> Option<&mut Vec<u32>> {
        match self {
            Self::Enroll(_) | Self::ShareKeys(_) | Self::Aborted(_) => None,
            Self::Collect(phase) => Some(&mut phase.sum),
            Self::Confirm(phase) => Some(&mut phase.sum),
            Self::Unmask(phase) => Some(&mut phase.sum),
            Self::Closed(phase) => Some(&mut phase.sum),
        }
    }
}
