//! One part of the pairs held out, and the others dealt to clients.

use super::{Settings, split_error};
use crate::evals::EvalError;
use crate::language::preferences::{Preference, PreferenceSplit};

/// What is held out, and what the clients have.
pub struct Fold<'a> {
    /// Pairs that no client has.
    pub held_out: Vec<&'a Preference>,
    /// Each client's pairs to train on.
    pub clients: Vec<Vec<&'a Preference>>,
    /// Each client's pairs by which learning rate and round are chosen.
    pub validation: Vec<Vec<&'a Preference>>,
    /// Of everything that is random here.
    pub seed: u64,
}

impl<'a> Fold<'a> {
    /// Holds out `parts[place]` and deals the other parts to clients, conversation by conversation.
    ///
    /// # Errors
    /// [`EvalError::Content`] if there are too few.
    pub fn new(
        pairs: &'a [Preference],
        parts: &[Vec<usize>],
        place: usize,
        settings: &Settings,
    ) -> Result<Self, EvalError> {
        let seed = settings.seed + place as u64;
        let (mut held_out, mut others) = (Vec::new(), Vec::new());
        for (at, part) in parts.iter().enumerate() {
            let into = if at == place {
                &mut held_out
            } else {
                &mut others
            };
            into.extend(part.iter().map(|&index| &pairs[index]));
        }
        let dealt = split(&others, settings.clients, 0, seed)?;
        let mut fold = Self {
            held_out,
            clients: Vec::new(),
            validation: Vec::new(),
            seed,
        };
        for client in dealt.clients {
            let own: Vec<&Preference> = client.iter().map(|&index| others[index]).collect();
            let kept = (own.len() as f64 * settings.validation_part) as usize;
            let parts = split(&own, 1, kept, seed)?;
            let of = |indices: &[usize]| indices.iter().map(|&index| own[index]).collect();
            fold.validation.push(of(&parts.held_out));
            fold.clients.push(of(&parts.clients.concat()));
        }
        Ok(fold)
    }
}

fn split(
    pairs: &[&Preference],
    clients: usize,
    held_out: usize,
    seed: u64,
) -> Result<PreferenceSplit, EvalError> {
    let pairs: Vec<Preference> = pairs.iter().map(|&pair| pair.clone()).collect();
    PreferenceSplit::new(&pairs, clients, held_out, seed).map_err(split_error)
}
