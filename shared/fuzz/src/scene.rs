//! A round that a script drives: one aggregator, a few real clients, and every message in between
//! in the script's hands.
//!
//! What must hold whatever happens is checked at every step: a refusal changes nothing, phases go
//! forward, a published sum is the plain sum of its survivors, and of each client what
//! [`watch`] says.

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::ids::{ConnectionId, PublicKey, Timestamp};
use choir_shared::messages::{AggregatorMessage, ClientMessage};
use choir_shared::policy::Policy;
use choir_shared::reject::{Reject, RejectCode};
use choir_shared::round::{
    ClientEffect, ClientEvent, ClientRound, Effect, Event, JoinSetup, Outcome, PhaseName, Round,
};
use choir_shared::secure_sum::{RosterEntry, roster_from_bytes};
use choir_shared::sim;
use choir_shared::update::FrozenUpdate;
use choir_shared::wire::{self, limits};

pub(crate) mod storage;
mod watch;

use storage::Store;
use watch::Watch;

/// Something that a client sent.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) client: usize,
    pub(crate) link: ConnectionId,
    pub(crate) is_upload: bool,
    pub(crate) bytes: Vec<u8>,
}

/// One client.
pub(crate) struct Player {
    machine: ClientRound,
    watch: Watch,
    pub(crate) link: ConnectionId,
    plain: Vec<u32>,
    keys: Vec<RosterEntry>,
}

/// The whole of it.
pub(crate) struct Scene {
    pub(crate) round: Round,
    store: Store,
    pub(crate) clients: Vec<Player>,
    /// On the way to the aggregator.
    pub(crate) up: Vec<Letter>,
    /// On the way to a client.
    pub(crate) down: Vec<(usize, AggregatorMessage)>,
    /// Everything that a client ever sent.
    pub(crate) sent: Vec<Letter>,
    /// Everything that the aggregator ever said.
    pub(crate) said: Vec<AggregatorMessage>,
    pub(crate) now: Timestamp,
    outcome: Option<Outcome>,
    roster: Vec<RosterEntry>,
    entropy: InsecureSeededEntropy,
    next_link: u64,
    /// Masks were asked for.
    is_expanding: bool,
}

impl Scene {
    /// Clients that are about to join: their JOINs are on the way.
    pub(crate) fn new(clients: u16) -> Self {
        let task = sim::head_task(clients, 3, 1);
        let setup = sim::round_setup(&task);
        let round = Round::new(setup.clone()).expect("a sound task");
        let mut scene = Self {
            store: Store::default(),
            round,
            clients: Vec::new(),
            up: Vec::new(),
            down: Vec::new(),
            sent: Vec::new(),
            said: Vec::new(),
            now: Timestamp(1_000),
            outcome: None,
            roster: Vec::new(),
            entropy: InsecureSeededEntropy::new(u64::from(clients)),
            next_link: u64::from(clients),
            is_expanding: false,
        };
        scene.store.keep(&mut scene.round);
        for client in 0..usize::from(clients) {
            let values: Vec<f32> = (0..4).map(|at| ((client * 4 + at) as f32).sin()).collect();
            let update = FrozenUpdate::new(&values, 9 + client as u32, &task, &mut scene.entropy)
                .expect("an update of the task");
            let plain = update.plain_words().to_vec();
            let join = JoinSetup {
                policy: Policy::demo(),
                task: &task,
                task_id: setup.task_id,
                round_id: setup.round_id,
                version: setup.version,
                adapter: setup.adapter,
            };
            let (machine, effects) =
                ClientRound::join(&join, update, &mut scene.entropy).expect("the policy allows it");
            scene.clients.push(Player {
                machine,
                watch: Watch::default(),
                link: ConnectionId(client as u64),
                plain,
                keys: Vec::new(),
            });
            scene.post(client, effects);
        }
        scene
    }

    /// Gives the aggregator something of a client's. The client is told of a refusal, unless it is
    /// not its own words that were refused.
    pub(crate) fn give(&mut self, letter: &Letter, is_own: bool) {
        let Letter {
            client,
            link,
            is_upload,
            ref bytes,
        } = *letter;
        let taken = if is_upload {
            self.aggregate(|round, now| round.handle_upload(bytes, now))
        } else {
            self.aggregate(|round, now| round.handle_message(link, bytes, now))
        };
        if !is_own {
            return;
        }
        match taken {
            Ok(()) if is_upload => self.tell(client, ClientEvent::Uploaded),
            Ok(()) => {}
            Err(reject) if is_upload => {
                self.tell(client, ClientEvent::UploadRefused(reject.code));
            }
            Err(Reject { code, version }) if self.clients[client].link == link => {
                self.down
                    .push((client, AggregatorMessage::Refused { code, version }));
            }
            Err(_) => {}
        }
    }

    /// Everything that is on the way to the aggregator arrives.
    pub(crate) fn give_all(&mut self) {
        for letter in core::mem::take(&mut self.up) {
            self.give(&letter, true);
        }
        self.expand();
    }

    /// Everything that is on the way to clients arrives.
    pub(crate) fn tell_all(&mut self) {
        for (client, message) in core::mem::take(&mut self.down) {
            self.tell(client, ClientEvent::Message(message));
        }
    }

    /// One event of the aggregator.
    pub(crate) fn aggregate(
        &mut self,
        event: impl FnOnce(&mut Round, Timestamp) -> Result<Vec<Effect>, Reject>,
    ) -> Result<(), Reject> {
        let before = self.round.clone();
        let effects = match event(&mut self.round, self.now) {
            Ok(effects) => effects,
            Err(reject) => {
                assert!(self.round == before, "a refusal leaves the round unchanged");
                return Err(reject);
            }
        };
        assert!(self.round.phase() >= before.phase(), "phases go forward");
        self.store.keep(&mut self.round);
        for effect in effects {
            self.carry_out(effect);
        }
        Ok(())
    }

    /// An event that the aggregator cannot refuse.
    pub(crate) fn happen(&mut self, event: Event<'_>) {
        let taken = self.aggregate(|round, now| round.handle(event, now));
        assert!(taken.is_ok(), "never refused");
    }

    /// The phase's deadline passes.
    pub(crate) fn wait_for_deadline(&mut self) {
        if let Some(deadline) = self.round.deadline() {
            self.now = self.now.max(deadline);
        }
        self.happen(Event::Tick);
    }

    /// A client's connection breaks; it opens another and says so.
    pub(crate) fn relink(&mut self, client: usize) {
        let old = self.clients[client].link;
        self.happen(Event::Disconnected(old));
        self.clients[client].link = ConnectionId(self.next_link);
        self.next_link += 1;
        self.down.retain(|(to, _)| *to != client);
        self.tell(client, ClientEvent::Reconnected);
    }

    /// A client's visitor goes.
    pub(crate) fn leave(&mut self, client: usize) {
        let player = &mut self.clients[client];
        let effects = player.machine.leave();
        player.watch.left();
        self.post(client, effects);
    }

    /// Something happens to a client.
    pub(crate) fn tell(&mut self, client: usize, event: ClientEvent) {
        let player = &mut self.clients[client];
        let before = player.machine.phase();
        let message = match &event {
            ClientEvent::Message(message) => Some(message.clone()),
            _ => None,
        };
        let effects = player.machine.handle(event, &mut self.entropy);
        let after = player.machine.phase();
        player.watch.see(
            message.as_ref().filter(|_| after != before),
            &effects,
            after,
        );
        if after == PhaseName::Unmask && before != after {
            let others = self.clients.iter().map(|player| &player.watch);
            self.clients[client].watch.check_opening(others);
        }
        self.post(client, effects);
    }

    /// Lets everything arrive and every deadline pass. Nothing may be waiting then but a lobby that
    /// never filled. True if a sum was published.
    pub(crate) fn finish(&mut self) -> bool {
        for _ in 0..40 {
            while !(self.up.is_empty() && self.down.is_empty()) {
                self.give_all();
                self.tell_all();
            }
            self.expand();
            self.wait_for_deadline();
        }
        let phase = self.round.phase();
        assert!(
            matches!(
                phase,
                PhaseName::Closed | PhaseName::Aborted | PhaseName::Enroll
            ),
            "a round does not wait for ever, but this waits in {phase}"
        );
        self.outcome.is_some()
    }

    /// Whether some client has opened shares.
    pub(crate) fn has_opened(&self) -> bool {
        self.clients.iter().any(|player| player.watch.has_opened())
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, message } => {
                if let AggregatorMessage::Roster { roster, .. } = &message {
                    self.roster = roster_from_bytes(roster).expect("the aggregator's own roster");
                }
                let bytes = wire::encode(&message);
                let decoded = wire::decode(&bytes, limits::AGGREGATOR_MESSAGE);
                assert_eq!(decoded.as_ref(), Ok(&message), "clients can read it");
                if !self.said.contains(&message) {
                    self.said.push(message.clone());
                }
                for client in 0..self.clients.len() {
                    if to.contains(&self.clients[client].link) {
                        self.down.push((client, message.clone()));
                    }
                }
            }
            Effect::Publish(outcome) => self.publish(outcome),
            Effect::Expand => self.is_expanding = true,
            Effect::WakeAt(_) | Effect::Aborted(_) => {}
        }
    }

    fn publish(&mut self, outcome: Outcome) {
        assert!(self.outcome.is_none(), "a round publishes once");
        let mut plain = vec![0; self.clients[0].plain.len()];
        for &index in &outcome.survivors {
            let entry = self.roster[usize::from(index)];
            let owner = self
                .clients
                .iter()
                .find(|player| player.keys.contains(&entry));
            let owner = owner.expect("only a client can have signed an upload");
            for (total, word) in plain.iter_mut().zip(&owner.plain) {
                *total += word;
            }
        }
        assert_eq!(outcome.sum, plain, "the sum is that of the survivors");
        assert!(
            outcome.survivors.len() * 2 > self.roster.len(),
            "a quorum survived"
        );
        self.outcome = Some(outcome);
    }

    fn post(&mut self, client: usize, effects: Vec<ClientEffect>) {
        let link = self.clients[client].link;
        for effect in effects {
            let (is_upload, bytes) = match effect {
                ClientEffect::Send(bytes) => (false, bytes),
                ClientEffect::Upload(bytes) => (true, bytes),
                ClientEffect::Left(_) => {
                    self.happen(Event::Disconnected(link));
                    continue;
                }
                _ => continue,
            };
            if let Some(entry) = joined(&bytes) {
                self.clients[client].keys.push(entry);
            }
            let letter = Letter {
                client,
                link,
                is_upload,
                bytes,
            };
            self.sent.push(letter.clone());
            self.up.push(letter);
        }
    }
}

/// The keys of a JOIN.
fn joined(bytes: &[u8]) -> Option<RosterEntry> {
    match wire::decode(bytes, limits::CLIENT_MESSAGE).ok()? {
        ClientMessage::Join {
            signing_key,
            channel_key,
            mask_key,
            ..
        } => Some(RosterEntry {
            signing_key,
            channel_key,
            mask_key,
        }),
        _ => None,
    }
}

/// A code of the list.
pub(crate) fn code(byte: u8) -> RejectCode {
    RejectCode::ALL[usize::from(byte) % RejectCode::ALL.len()]
}

/// A key that no client has.
pub(crate) fn foreign_key() -> PublicKey {
    choir_shared::secure_sum::x25519_public(&[99; 32])
}
