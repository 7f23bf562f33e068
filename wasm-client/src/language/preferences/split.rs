//! Pairs dealt to clients, with a part that no client has.
//!
//! Conversations that begin with the same turn stay together: HH-RLHF has several answers along
//! one conversation, and what is held out should not begin like what was trained on.

use std::collections::BTreeMap;

use crate::language::draws::Draws;

use super::{Preference, next_turn, turn};

/// Why pairs cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// There are no clients to deal to.
    #[error("there are no clients to split the pairs over")]
    NoClients,
    /// There are not enough conversations for every client.
    #[error("{pairs} pairs are too few to hold out {held_out} and leave some to {clients} clients")]
    TooFew {
        /// Pairs there are.
        pairs: usize,
        /// Pairs to hold out.
        held_out: usize,
        /// Clients.
        clients: usize,
    },
}

/// Indices of the pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreferenceSplit {
    /// Each client's.
    pub clients: Vec<Vec<usize>>,
    /// What no client has.
    pub held_out: Vec<usize>,
}

impl PreferenceSplit {
    /// Splits pairs at random, the same way for the same seed. At least `held_out` pairs are held
    /// out, and the rest is dealt so that clients have about as many.
    ///
    /// # Errors
    /// [`SplitError`].
    pub fn new(
        pairs: &[Preference],
        clients: usize,
        held_out: usize,
        seed: u64,
    ) -> Result<Self, SplitError> {
        if clients == 0 {
            return Err(SplitError::NoClients);
        }
        let mut split = Self {
            clients: vec![Vec::new(); clients],
            held_out: Vec::new(),
        };
        for group in shuffled_groups(pairs, seed) {
            if split.held_out.len() < held_out {
                split.held_out.extend(group);
            } else if let Some(client) = split.clients.iter_mut().min_by_key(|pairs| pairs.len()) {
                client.extend(group);
            }
        }
        if split.held_out.len() < held_out || split.clients.iter().any(Vec::is_empty) {
            return Err(SplitError::TooFew {
                pairs: pairs.len(),
                held_out,
                clients,
            });
        }
        Ok(split)
    }
}

/// Indices of the pairs by their first turn, in an order that the seed decides.
fn shuffled_groups(pairs: &[Preference], seed: u64) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, pair) in pairs.iter().enumerate() {
        groups.entry(first_turn(pair)).or_default().push(index);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    Draws::new("choir/preferences", seed).shuffle(&mut groups);
    groups
}

fn first_turn(pair: &Preference) -> &str {
    let content = turn(&pair.prompt).map_or(pair.prompt.as_str(), |(_, content)| content);
    content[..next_turn(content).unwrap_or(content.len())].trim()
}
