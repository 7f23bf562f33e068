//! The simulated network: a queue of deliveries in time order.

use alloc::vec::Vec;

use super::corrupt::Tap;
use super::{Broken, Client, ClientEnd, Report, Simulation};
use crate::ids::{ConnectionId, Timestamp};
use crate::messages::AggregatorMessage;
use crate::reject::{Reject, RejectCode};
use crate::round::aggregator::{self, Change, Part};
use crate::round::{ClientEffect, ClientEvent, Effect, Event, PhaseName, Round};
use crate::wire::{self, limits};

/// Something on its way.
pub(super) enum Delivery {
    ToAggregator {
        from: ConnectionId,
        bytes: Vec<u8>,
    },
    /// From a client, or from a stranger.
    Upload {
        client: Option<usize>,
        bytes: Vec<u8>,
    },
    ToClient {
        to: ConnectionId,
        bytes: Vec<u8>,
    },
    UploadAnswer {
        client: usize,
        answer: Result<(), RejectCode>,
    },
    Disconnected(ConnectionId),
    Reconnected {
        client: usize,
    },
    Tick,
}

impl Simulation {
    pub(super) fn finish(mut self) -> Report {
        while let Some(((time, _), delivery)) = self.queue.pop_first() {
            self.now = Timestamp(time);
            self.deliver(delivery);
        }
        self.report.finished_at = self.now;
        self.report.phase = self.round.phase();
        self.report.abort = self.round.abort_reason();
        self.report.clients = self
            .clients
            .iter()
            .map(|client| {
                client
                    .end
                    .unwrap_or_else(|| ClientEnd::Waiting(client.round.phase()))
            })
            .collect();
        self.report
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::ToAggregator { from, bytes } => {
                if let Err(reject) =
                    self.aggregate(|round, now| round.handle_message(from, &bytes, now))
                {
                    let refused = AggregatorMessage::Refused {
                        code: reject.code,
                        version: reject.version,
                    };
                    self.send_to_client(from, &refused);
                }
            }
            Delivery::Upload { client, bytes } => {
                let answer = self
                    .aggregate(|round, now| round.handle_upload(&bytes, now))
                    .map_err(|reject| reject.code);
                if let Some(client) = client {
                    self.queue_after(self.now.0, Delivery::UploadAnswer { client, answer });
                }
            }
            Delivery::ToClient { to, bytes } => {
                let receiver = self
                    .clients
                    .iter()
                    .position(|client| client.connection == to);
                if let Some(client) = receiver {
                    let message = wire::decode(&bytes, limits::AGGREGATOR_MESSAGE)
                        .expect("the aggregator's messages decode");
                    self.tell(client, ClientEvent::Message(message));
                }
            }
            Delivery::UploadAnswer {
                client,
                answer: Ok(()),
            } => {
                self.tell(client, ClientEvent::Uploaded);
            }
            Delivery::UploadAnswer {
                client,
                answer: Err(code),
            } => {
                self.tell(client, ClientEvent::UploadRefused(code));
            }
            Delivery::Disconnected(from) => {
                let taken =
                    self.aggregate(|round, now| round.handle(Event::Disconnected(from), now));
                assert!(taken.is_ok(), "a closed connection is never refused");
            }
            Delivery::Reconnected { client } => self.tell(client, ClientEvent::Reconnected),
            Delivery::Tick => {
                let taken = self.aggregate(|round, now| round.handle(Event::Tick, now));
                assert!(taken.is_ok(), "time is never refused");
            }
        }
    }

    /// Gives the aggregator one event. A refusal must change nothing.
    fn aggregate(
        &mut self,
        event: impl FnOnce(&mut Round, Timestamp) -> Result<Vec<Effect>, Reject>,
    ) -> Result<(), Reject> {
        let before = self.round.clone();
        let effects = match event(&mut self.round, self.now) {
            Ok(effects) => effects,
            Err(reject) => {
                assert!(self.round == before, "a refusal leaves the round unchanged");
                let panics = self.plan.faults.broken == Some(Broken::Panics);
                assert!(!panics, "the plan has it so");
                self.report.rejects.push(reject.code);
                return Err(reject);
            }
        };
        self.store();
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    to.into_iter()
                        .for_each(|to| self.send_to_client(to, &message));
                }
                Effect::WakeAt(time) => self.wake_at(time),
                Effect::Expand => self.expand()?,
                Effect::Publish(outcome) => self.report.outcome = Some(outcome),
                Effect::Aborted(_) => {}
            }
        }
        Ok(())
    }

    /// A clock that may stall, or have stopped.
    fn wake_at(&mut self, time: Timestamp) {
        if self.plan.faults.broken == Some(Broken::Sleeps) {
            return;
        }
        let late = match self.happens("stall", self.plan.faults.stall_permille) {
            true => self.entropy.below(self.plan.faults.stall_ms + 1),
            false => 0,
        };
        self.queue_at(time.0 + late, Delivery::Tick);
    }

    /// Expands the masks, in two parts. A round that was restarted before asks for it again.
    fn expand(&mut self) -> Result<(), Reject> {
        let Some(expansion) = self.round.expansion() else {
            return self.aggregate(|round, now| round.handle(Event::Tick, now));
        };
        let len = self.report.plain.first().map_or(0, Vec::len);
        let cut = self.entropy.below(len as u64 + 1) as usize;
        let mut masks = [expansion.expand(0..cut), expansion.expand(cut..len)].concat();
        if self.plan.faults.broken == Some(Broken::Masks) {
            masks[0] = masks[0].wrapping_sub(1);
        }
        self.aggregate(|round, now| round.handle(Event::Expanded(masks), now))
    }

    /// Stores what an aggregator has to store, and sometimes restarts it from that.
    fn store(&mut self) {
        for Change { part, bytes } in self.round.take_changes() {
            match bytes {
                Some(bytes) if part == Part::Sum => {
                    if self.round.phase() != PhaseName::Closed {
                        let words = aggregator::words_from_bytes(&bytes).expect("whole words");
                        self.report.masked_sums.push(words);
                    }
                    self.stored.insert(part, bytes);
                }
                Some(bytes) => {
                    self.report.states.push(bytes.clone());
                    self.stored.insert(part, bytes);
                }
                None => drop(self.stored.remove(&part)),
            }
        }
        if self.happens("restart", self.plan.faults.restart_permille) {
            let parts = self.stored.iter().map(|(part, bytes)| (*part, bytes));
            let restored = Round::from_parts(parts).expect("stored parts make a round");
            // What is not stored, of the masks and of how often they were looked for, is made anew.
            let is_same = restored == self.round || self.round.phase() == PhaseName::Unmask;
            assert!(is_same, "a restart changes nothing");
            assert_eq!(restored.status(), self.round.status());
            self.round = restored;
        }
    }

    fn tell(&mut self, client: usize, event: ClientEvent) {
        if self.clients[client].end.is_some() {
            return;
        }
        if let ClientEvent::Message(AggregatorMessage::Roster { roster, .. }) = &event {
            self.report.roster.resize(roster.len() / 96, usize::MAX);
        }
        let Client { round, liar, .. } = &mut self.clients[client];
        if let (ClientEvent::Message(message), Some(liar)) = (&event, liar.as_mut()) {
            liar.hear(message);
        }
        let in_lobby = round.phase() == PhaseName::Enroll;
        let mut tap = Tap::new(&mut self.entropy);
        let effects = round.handle(event, &mut tap);
        if let Some(liar) = liar
            .as_mut()
            .filter(|_| in_lobby && round.phase() == PhaseName::Enroll)
        {
            liar.renew(tap.taken());
        }
        if let Some(index) = self.clients[client].round.index() {
            self.report.roster[usize::from(index)] = client;
        }
        self.carry_out(client, effects);
    }

    pub(super) fn carry_out(&mut self, client: usize, effects: Vec<ClientEffect>) {
        for effect in effects {
            if self.clients[client].end.is_some() {
                return;
            }
            match effect {
                ClientEffect::Send(bytes) => self.send(client, bytes),
                ClientEffect::Upload(bytes) => self.upload(client, bytes),
                ClientEffect::Finished(receipt) => {
                    self.clients[client].end = Some(ClientEnd::Finished(receipt));
                }
                ClientEffect::Left(reason) => {
                    self.clients[client].end = Some(ClientEnd::Left(reason));
                    self.hang_up(client);
                }
                ClientEffect::Lobby { .. } | ClientEffect::Phase(_) => {}
            }
        }
    }
}
