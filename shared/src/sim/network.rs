//! The simulated network: a queue of deliveries in time order.

use alloc::vec::Vec;

use super::{ClientEnd, Close, Report, Simulation, Step};
use crate::ids::{ConnectionId, Timestamp};
use crate::messages::{AggregatorMessage, ClientMessage};
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
    Upload {
        client: usize,
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
                self.queue_after(self.now.0, Delivery::UploadAnswer { client, answer });
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
                Effect::WakeAt(time) => self.queue_at(time.0, Delivery::Tick),
                Effect::Expand => self.expand()?,
                Effect::Publish(outcome) => self.report.outcome = Some(outcome),
                Effect::Aborted(_) => {}
            }
        }
        Ok(())
    }

    /// Expands the masks, in two parts. A round that was restarted before asks for it again.
    fn expand(&mut self) -> Result<(), Reject> {
        let Some(expansion) = self.round.expansion() else {
            return self.aggregate(|round, now| round.handle(Event::Tick, now));
        };
        let len = self.report.plain.first().map_or(0, Vec::len);
        let cut = self.entropy.below(len as u64 + 1) as usize;
        let masks = [expansion.expand(0..cut), expansion.expand(cut..len)].concat();
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
        if self.entropy.below(1000) < self.plan.faults.restart_permille {
            let parts = self.stored.iter().map(|(part, bytes)| (*part, bytes));
            let restored = Round::from_parts(parts).expect("stored parts make a round");
            // What is not stored is made anew.
            let same = self.round.expansion().is_some() || restored == self.round;
            assert!(same, "a restart changes nothing");
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
        let effects = self.clients[client].round.handle(event, &mut self.entropy);
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

    fn send(&mut self, client: usize, bytes: Vec<u8>) {
        let step = step_of(&bytes);
        let close = self.clients[client].close;
        if step.is_some() && close == step.map(Close::Before) {
            return self.close(client);
        }
        self.report.sent.push((client, bytes.clone()));
        let from = self.clients[client].connection;
        if step.is_some_and(|step| step > Step::Join)
            && self.happens(self.plan.faults.break_permille)
        {
            return self.break_connection(client);
        }
        if self.happens(self.plan.faults.duplicate_permille) {
            let bytes = bytes.clone();
            self.queue_in_order(from, true, Delivery::ToAggregator { from, bytes });
        }
        self.queue_in_order(from, true, Delivery::ToAggregator { from, bytes });
        if step.is_some() && close == step.map(Close::After) {
            self.close(client);
        }
    }

    fn upload(&mut self, client: usize, bytes: Vec<u8>) {
        let close = self.clients[client].close;
        if close == Some(Close::Before(Step::Upload)) {
            return self.close(client);
        }
        if close == Some(Close::MidUpload) {
            let half = bytes[..bytes.len() / 2].to_vec();
            self.report.sent.push((client, half.clone()));
            self.queue_after(
                self.now.0,
                Delivery::Upload {
                    client,
                    bytes: half,
                },
            );
            return self.close(client);
        }
        self.report.sent.push((client, bytes.clone()));
        if self.happens(self.plan.faults.duplicate_permille) {
            let bytes = bytes.clone();
            self.queue_after(self.now.0, Delivery::Upload { client, bytes });
        }
        let arrives = self.queue_after(self.now.0, Delivery::Upload { client, bytes });
        if close == Some(Close::After(Step::Upload)) {
            self.clients[client].end = Some(ClientEnd::Closed);
            let connection = self.clients[client].connection;
            self.queue_at(arrives + 1, Delivery::Disconnected(connection));
        }
    }

    fn close(&mut self, client: usize) {
        self.clients[client].end = Some(ClientEnd::Closed);
        self.hang_up(client);
    }

    fn hang_up(&mut self, client: usize) {
        let from = self.clients[client].connection;
        self.queue_in_order(from, true, Delivery::Disconnected(from));
    }

    /// What was to be sent is lost; the client comes back on a new connection.
    fn break_connection(&mut self, client: usize) {
        self.hang_up(client);
        self.clients[client].connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.queue_after(self.now.0, Delivery::Reconnected { client });
    }

    fn send_to_client(&mut self, to: ConnectionId, message: &AggregatorMessage) {
        let bytes = wire::encode(message);
        if self.happens(self.plan.faults.duplicate_permille) {
            let bytes = bytes.clone();
            self.queue_in_order(to, false, Delivery::ToClient { to, bytes });
        }
        self.queue_in_order(to, false, Delivery::ToClient { to, bytes });
    }

    fn happens(&mut self, permille: u64) -> bool {
        self.entropy.below(1000) < permille
    }

    fn queue_in_order(&mut self, link: ConnectionId, up: bool, delivery: Delivery) {
        let delayed = self.now.0 + 1 + self.entropy.below(self.plan.faults.max_delay_ms + 1);
        let before = self.last_on.get(&(link, up)).copied().unwrap_or(0);
        let arrives = delayed.max(before);
        self.queue_at(arrives, delivery);
        self.last_on.insert((link, up), arrives);
    }

    fn queue_after(&mut self, earliest: u64, delivery: Delivery) -> u64 {
        let arrives = earliest + 1 + self.entropy.below(self.plan.faults.max_delay_ms + 1);
        self.queue_at(arrives, delivery);
        arrives
    }

    fn queue_at(&mut self, time: u64, delivery: Delivery) {
        self.sequence += 1;
        self.queue.insert((time, self.sequence), delivery);
    }
}

fn step_of(bytes: &[u8]) -> Option<Step> {
    match wire::decode(bytes, limits::CLIENT_MESSAGE).ok()? {
        ClientMessage::Join { .. } => Some(Step::Join),
        ClientMessage::Share { .. } => Some(Step::Share),
        ClientMessage::Ack { .. } => Some(Step::Ack),
        ClientMessage::Open { .. } => Some(Step::Open),
        ClientMessage::Resume { .. } | ClientMessage::Leave { .. } => None,
    }
}
