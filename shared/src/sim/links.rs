//! The way from a client to the aggregator and back, and what goes wrong on it.

use alloc::vec::Vec;

use super::corrupt::Told;
use super::network::Delivery;
use super::{ClientEnd, Close, Simulation, Step};
use crate::ids::ConnectionId;
use crate::messages::{AggregatorMessage, ClientMessage};
use crate::wire::{self, limits};

impl Simulation {
    pub(super) fn send(&mut self, client: usize, bytes: Vec<u8>) {
        let step = step_of(&bytes);
        let close = self.clients[client].close;
        if step.is_some() && close == step.map(Close::Before) {
            return self.close(client);
        }
        let bytes = self.distort(client, bytes);
        self.report.sent.push((client, bytes.clone()));
        let from = self.clients[client].connection;
        if step.is_some_and(|step| step > Step::Join)
            && self.happens("break", self.plan.faults.break_permille)
        {
            return self.break_connection(client);
        }
        if self.happens("duplicate", self.plan.faults.duplicate_permille) {
            let bytes = bytes.clone();
            self.queue_in_order(from, true, Delivery::ToAggregator { from, bytes });
        }
        self.replay(client);
        let bytes = match self.damaged(&bytes) {
            None => bytes,
            Some((true, damaged)) => damaged,
            Some((false, damaged)) => {
                self.strange(damaged);
                bytes
            }
        };
        if self.happens("reorder", self.plan.faults.reorder_permille) {
            self.queue_after(self.now.0, Delivery::ToAggregator { from, bytes });
        } else {
            self.queue_in_order(from, true, Delivery::ToAggregator { from, bytes });
        }
        if step.is_some() && close == step.map(Close::After) {
            self.close(client);
        }
    }

    pub(super) fn upload(&mut self, client: usize, bytes: Vec<u8>) {
        let close = self.clients[client].close;
        if close == Some(Close::Before(Step::Upload)) {
            return self.close(client);
        }
        let hundredths = match close {
            Some(Close::MidUpload) => Some(50),
            Some(Close::CutUpload(hundredths)) => Some(usize::from(hundredths)),
            _ => None,
        };
        if let Some(hundredths) = hundredths {
            self.count("cut upload");
            let cut = bytes[..bytes.len() * hundredths / 100].to_vec();
            self.report.sent.push((client, cut.clone()));
            let delivery = Delivery::Upload {
                client: Some(client),
                bytes: cut,
            };
            self.queue_after(self.now.0, delivery);
            return self.close(client);
        }
        let bytes = self.distort_upload(client, bytes);
        self.report.sent.push((client, bytes.clone()));
        if self.happens("duplicate", self.plan.faults.duplicate_permille) {
            let bytes = bytes.clone();
            let delivery = Delivery::Upload {
                client: Some(client),
                bytes,
            };
            self.queue_after(self.now.0, delivery);
        }
        self.replay(client);
        if let Some((_, bytes)) = self.damaged(&bytes) {
            let delivery = Delivery::Upload {
                client: None,
                bytes,
            };
            self.queue_after(self.now.0, delivery);
        }
        let client_upload = Delivery::Upload {
            client: Some(client),
            bytes,
        };
        let arrives = self.queue_after(self.now.0, client_upload);
        if close == Some(Close::After(Step::Upload)) {
            self.clients[client].end = Some(ClientEnd::Closed);
            let connection = self.clients[client].connection;
            self.queue_at(arrives + 1, Delivery::Disconnected(connection));
        }
    }

    fn close(&mut self, client: usize) {
        self.count("close");
        self.clients[client].end = Some(ClientEnd::Closed);
        if !self.happens("silent close", self.plan.faults.silent_permille) {
            self.hang_up(client);
        }
    }

    pub(super) fn hang_up(&mut self, client: usize) {
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

    pub(super) fn send_to_client(&mut self, to: ConnectionId, message: &AggregatorMessage) {
        let bytes = wire::encode(message);
        if self.happens("duplicate", self.plan.faults.duplicate_permille) {
            let bytes = bytes.clone();
            self.queue_in_order(to, false, Delivery::ToClient { to, bytes });
        }
        if self.happens("reorder", self.plan.faults.reorder_permille) {
            self.queue_after(self.now.0, Delivery::ToClient { to, bytes });
        } else {
            self.queue_in_order(to, false, Delivery::ToClient { to, bytes });
        }
    }

    /// Beside what a client sends, something older arrives again.
    fn replay(&mut self, client: usize) {
        if !self.happens("replay", self.plan.faults.replay_permille) {
            return;
        }
        let old = &self.plan.faults.old_messages;
        let all = (self.report.sent.len() + old.len()) as u64;
        let place = self.entropy.below(all) as usize;
        let bytes = match self.report.sent.get(place) {
            Some((_, bytes)) => bytes.clone(),
            None => old[place - self.report.sent.len()].clone(),
        };
        match self.entropy.below(3) {
            0 => self.strange(bytes),
            1 => {
                let from = self.clients[client].connection;
                self.queue_after(self.now.0, Delivery::ToAggregator { from, bytes });
            }
            _ => {
                let upload = Delivery::Upload {
                    client: None,
                    bytes,
                };
                self.queue_after(self.now.0, upload);
            }
        }
    }

    /// Bytes cut, with one bit flipped, or too long; and whether they arrive instead of the true ones.
    fn damaged(&mut self, bytes: &[u8]) -> Option<(bool, Vec<u8>)> {
        if !self.happens("damage", self.plan.faults.damage_permille) {
            return None;
        }
        let mut damaged = bytes.to_vec();
        let place = self.entropy.below(bytes.len() as u64) as usize;
        match self.entropy.below(3) {
            0 => damaged.truncate(place),
            1 => damaged[place] ^= 1 << self.entropy.below(8),
            _ => damaged.resize(bytes.len() + limits::CLIENT_MESSAGE, 0),
        }
        Some((self.entropy.below(2) == 0, damaged))
    }

    /// A message on a connection that no client has.
    fn strange(&mut self, bytes: Vec<u8>) {
        let from = ConnectionId(u64::MAX - self.entropy.below(3));
        self.queue_after(self.now.0, Delivery::ToAggregator { from, bytes });
    }

    /// A message as a client sends it that may be a liar.
    fn distort(&mut self, client: usize, bytes: Vec<u8>) -> Vec<u8> {
        let Some(liar) = &mut self.clients[client].liar else {
            return bytes;
        };
        let Told { bytes, beside } = liar.distort(bytes, &mut self.entropy);
        let from = self.clients[client].connection;
        if let Some(bytes) = beside {
            self.count("lie");
            self.report.sent.push((client, bytes.clone()));
            self.queue_after(self.now.0, Delivery::ToAggregator { from, bytes });
        }
        bytes
    }

    /// An upload as a client sends it that may be a liar. What it hides then is written down.
    fn distort_upload(&mut self, client: usize, bytes: Vec<u8>) -> Vec<u8> {
        let ring = self.report.ring;
        let plain = &self.report.plain[client];
        let Some(liar) = &mut self.clients[client].liar else {
            return bytes;
        };
        // A repeated upload is the same again.
        let Some((bytes, hidden)) = liar.distort_upload(&bytes, plain, ring, &mut self.entropy)
        else {
            return bytes;
        };
        self.report.uploaded.insert(client, hidden);
        self.count("lie");
        bytes
    }

    /// Whether a fault that happens in so many thousandths of the cases happens now; counted.
    pub(super) fn happens(&mut self, fault: &'static str, permille: u64) -> bool {
        let happens = self.entropy.below(1000) < permille;
        if happens {
            self.count(fault);
        }
        happens
    }

    fn count(&mut self, fault: &'static str) {
        *self.report.injected.entry(fault).or_default() += 1;
    }

    fn queue_in_order(&mut self, link: ConnectionId, up: bool, delivery: Delivery) {
        let delayed = self.now.0 + 1 + self.entropy.below(self.plan.faults.max_delay_ms + 1);
        let before = self.last_on.get(&(link, up)).copied().unwrap_or(0);
        let arrives = delayed.max(before);
        self.queue_at(arrives, delivery);
        self.last_on.insert((link, up), arrives);
    }

    pub(super) fn queue_after(&mut self, earliest: u64, delivery: Delivery) -> u64 {
        let arrives = earliest + 1 + self.entropy.below(self.plan.faults.max_delay_ms + 1);
        self.queue_at(arrives, delivery);
        arrives
    }

    pub(super) fn queue_at(&mut self, time: u64, delivery: Delivery) {
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
