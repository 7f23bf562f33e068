//! What a client knows about its round from ROSTER on.

use alloc::vec::Vec;

use ed25519_dalek::SigningKey;

use super::{Agreement, ClientEffect, ClientFault};
use crate::entropy::{self, Entropy};
use crate::ids::{ClientIndex, RoundId};
use crate::messages::ClientMessage;
use crate::secure_sum::{self, Context, Header, Parameters, Roster, RosterEntry, check_keys};
use crate::wire;

/// A checked roster and the client's place in it.
pub(super) struct Membership {
    pub(super) parameters: Parameters,
    pub(super) roster: Vec<RosterEntry>,
    pub(super) context: Context,
    pub(super) index: u16,
    resumed: u64,
}

impl Membership {
    /// Checks a roster: its size, the header, every key, that the client's own keys are in it.
    pub(super) fn new(
        agreement: &Agreement,
        header: &[u8],
        roster: &[u8],
        own: &RosterEntry,
    ) -> Result<Self, ClientFault> {
        let Roster { entries, tokens } =
            Roster::read(roster, agreement.issuer.is_some()).ok_or(ClientFault::CohortSize)?;
        let cohort = &agreement.task.cohort;
        let clients = u16::try_from(entries.len())
            .ok()
            .filter(|clients| (cohort.min_cohort..=cohort.cohort_size).contains(clients))
            .filter(|&clients| clients >= agreement.policy.min_cohort)
            .ok_or(ClientFault::CohortSize)?;
        let parameters = Parameters::new(clients, cohort.corrupt_permille, cohort.drop_permille)
            .ok_or(ClientFault::CohortSize)?;
        let expected = Header::new(
            &agreement.task,
            agreement.task_id,
            agreement.round_id,
            agreement.model_digest,
            &parameters,
        )
        .map_err(|_| ClientFault::Header)?;
        if header != expected.to_bytes() {
            return Err(ClientFault::Header);
        }
        if !check_keys(&entries) {
            return Err(ClientFault::RosterKeys);
        }
        let index = (0..clients)
            .zip(&entries)
            .find_map(|(index, entry)| (entry == own).then_some(index))
            .ok_or(ClientFault::NotInRoster)?;
        // Last, as it takes longest. Equal keys are refused above: no token counts twice.
        if let Some(issuer) = &agreement.issuer
            && !core::iter::zip(&entries, &tokens).all(|(keys, token)| issuer.verify(keys, token))
        {
            return Err(ClientFault::Token);
        }
        let context = Context::of_bytes(header, roster);
        Ok(Self {
            parameters,
            roster: entries,
            context,
            index,
            resumed: 0,
        })
    }

    /// Whether a repeated ROSTER is the one that was checked.
    pub(super) fn is(&self, header: &[u8], roster: &[u8]) -> bool {
        Context::of_bytes(header, roster) == self.context
    }

    pub(super) fn entry(&self, index: u16) -> &RosterEntry {
        &self.roster[usize::from(index)]
    }

    /// As many neighbours as the parameters ask for, ascending, each set of them as likely as any
    /// other: who holds the shares of a client's seeds is for nobody else to choose.
    pub(super) fn choose_neighbours(&self, entropy: &mut dyn Entropy) -> Vec<u16> {
        let mut others: Vec<u16> = (0..self.parameters.clients)
            .filter(|&other| other != self.index)
            .collect();
        let chosen = usize::from(self.parameters.neighbours).min(others.len());
        for place in 0..chosen {
            let left = (others.len() - place) as u32;
            others.swap(place, place + entropy::below(entropy, left) as usize);
        }
        others.truncate(chosen);
        others.sort_unstable();
        others
    }

    /// Takes up the client's place on a new connection.
    pub(super) fn resume(&mut self, round: RoundId, key: &SigningKey) -> ClientEffect {
        self.resumed += 1;
        let message = secure_sum::resume_message(&self.context, self.index, self.resumed);
        ClientEffect::Send(wire::encode(&ClientMessage::Resume {
            round,
            index: ClientIndex(self.index),
            counter: self.resumed,
            signature: secure_sum::sign(key, &message),
        }))
    }
}
