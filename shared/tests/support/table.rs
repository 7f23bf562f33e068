//! One aggregator and its clients at a table: every message is handed over by the test, which may
//! look at it, change it or keep it.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::BTreeMap;

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::ids::{ConnectionId, Timestamp};
use choir_shared::messages::AggregatorMessage;
use choir_shared::policy::Policy;
use choir_shared::reject::RejectCode;
use choir_shared::round::aggregator::{Change, Part};
use choir_shared::round::{
    ClientEffect, ClientEvent, ClientFault, ClientRound, Effect, Event, JoinSetup, LeaveReason,
    Outcome, PhaseName, Round,
};
use choir_shared::secure_sum::SessionKeys;
use choir_shared::sim;
use choir_shared::sim::issuer::{InsecureIssuer, TestKey};
use choir_shared::task::TaskConfig;
use choir_shared::update::FrozenUpdate;

/// What a client wants to hand over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Out {
    Socket(Vec<u8>),
    Upload(Vec<u8>),
}

impl Out {
    pub(crate) fn bytes(&self) -> &[u8] {
        let (Self::Socket(bytes) | Self::Upload(bytes)) = self;
        bytes
    }
}

pub(crate) struct Table {
    pub(crate) task: TaskConfig,
    pub(crate) round: Round,
    pub(crate) clients: Vec<ClientRound>,
    pub(crate) plain: Vec<Vec<u32>>,
    pub(crate) inbox: Vec<(usize, AggregatorMessage)>,
    /// The client at each place of the roster.
    pub(crate) roster: Vec<usize>,
    pub(crate) left: Vec<Option<LeaveReason>>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) entropy: InsecureSeededEntropy,
    pub(crate) now: Timestamp,
    /// What the aggregator has stored.
    pub(crate) stored: BTreeMap<Part, Vec<u8>>,
    links: Vec<ConnectionId>,
}

impl Table {
    /// Clients that are about to join, and their JOINs.
    pub(crate) fn new(clients: u16) -> (Self, Vec<(usize, Out)>) {
        Self::with_seed(clients, 77)
    }

    pub(crate) fn with_seed(clients: u16, seed: u64) -> (Self, Vec<(usize, Out)>) {
        Self::of(sim::head_task(clients, 3, 6), seed)
    }

    /// Clients that the first test issuer vouches for.
    pub(crate) fn attested(clients: u16) -> (Self, Vec<(usize, Out)>) {
        let mut task = sim::head_task(clients, 3, 6);
        task.attestation = Some(InsecureIssuer::new(TestKey::First, "choir").attestation());
        Self::of(task, 77)
    }

    /// As many clients as the task's cohort has at most.
    pub(crate) fn of(task: TaskConfig, seed: u64) -> (Self, Vec<(usize, Out)>) {
        let clients = task.cohort.cohort_size;
        let setup = sim::round_setup(&task);
        let mut table = Self {
            round: Round::new(setup.clone()).expect("a sound task"),
            task,
            clients: Vec::new(),
            plain: Vec::new(),
            inbox: Vec::new(),
            roster: vec![usize::MAX; usize::from(clients)],
            left: Vec::new(),
            outcome: None,
            entropy: InsecureSeededEntropy::new(seed),
            now: Timestamp(1_000),
            stored: BTreeMap::new(),
            links: (0..u64::from(clients)).map(ConnectionId).collect(),
        };
        let mut joins = Vec::new();
        for client in 0..usize::from(clients) {
            let values: Vec<f32> = (0..14)
                .map(|at| ((client * 14 + at) as f32).sin())
                .collect();
            let update =
                FrozenUpdate::new(&values, 10 + client as u32, &table.task, &mut table.entropy)
                    .expect("an update of the task");
            table.plain.push(update.plain_words().to_vec());
            let join = JoinSetup {
                policy: Policy::demo(),
                task: &table.task,
                task_id: setup.task_id,
                round_id: setup.round_id,
                version: setup.version,
                adapter: setup.adapter,
            };
            let joined = if table.task.attestation.is_some() {
                let keys = SessionKeys::generate(&mut table.entropy);
                let token = InsecureIssuer::new(TestKey::First, "choir").issue(&keys.public());
                ClientRound::join_attested(&join, update, keys, token)
            } else {
                ClientRound::join(&join, update, &mut table.entropy)
            };
            let (round, effects) = joined.expect("the policy allows it");
            table.clients.push(round);
            table.left.push(None);
            joins.extend(table.keep(client, effects));
        }
        table.store();
        (table, joins)
    }

    /// A table whose aggregator waits in `phase`, and the answers that it waits for.
    pub(crate) fn at(phase: PhaseName, clients: u16) -> (Self, Vec<(usize, Out)>) {
        let (mut table, mut pending) = Self::new(clients);
        while table.round.phase() != phase {
            table.give_all(&pending);
            pending = table.answers();
        }
        (table, pending)
    }

    pub(crate) fn link(&self, client: usize) -> ConnectionId {
        self.links[client]
    }

    /// Moves a client to a new connection.
    pub(crate) fn relink(&mut self, client: usize) -> Vec<(usize, Out)> {
        self.links[client] = ConnectionId(self.links[client].0 + 1_000);
        let effects = self.clients[client].handle(ClientEvent::Reconnected, &mut self.entropy);
        self.keep(client, effects)
    }

    pub(crate) fn give(&mut self, client: usize, out: &Out) -> Result<(), RejectCode> {
        let taken = match out {
            Out::Socket(bytes) => self
                .round
                .handle_message(self.links[client], bytes, self.now),
            Out::Upload(bytes) => self.round.handle_upload(bytes, self.now),
        };
        self.perform(taken.map_err(|reject| reject.code)?);
        if matches!(out, Out::Upload(_)) {
            self.clients[client].handle(ClientEvent::Uploaded, &mut self.entropy);
        }
        Ok(())
    }

    pub(crate) fn give_all(&mut self, pending: &[(usize, Out)]) {
        for (client, out) in pending {
            self.give(*client, out).expect("an honest message is taken");
        }
    }

    pub(crate) fn event(&mut self, event: Event<'_>) {
        let effects = self
            .round
            .handle(event, self.now)
            .expect("the event is taken");
        self.perform(effects);
    }

    /// Whatever this is, it is refused with this code and changes nothing.
    pub(crate) fn assert_refused(&mut self, client: usize, out: &Out, code: RejectCode) {
        let before = self.round.clone();
        assert_eq!(self.give(client, out), Err(code));
        assert!(self.round == before, "{code}: the round is unchanged");
        assert_eq!(
            self.round.take_changes(),
            [],
            "{code}: nothing new to store"
        );
    }

    /// Hands the aggregator's messages to the clients.
    pub(crate) fn answers(&mut self) -> Vec<(usize, Out)> {
        let inbox = std::mem::take(&mut self.inbox);
        inbox
            .into_iter()
            .flat_map(|(client, message)| self.tell(client, message))
            .collect()
    }

    pub(crate) fn tell(&mut self, client: usize, message: AggregatorMessage) -> Vec<(usize, Out)> {
        let event = ClientEvent::Message(message);
        let effects = self.clients[client].handle(event, &mut self.entropy);
        if let Some(index) = self.clients[client].index() {
            self.roster[usize::from(index)] = client;
        }
        self.keep(client, effects)
    }

    /// The plain sum of the clients at these places of the roster.
    pub(crate) fn plain_sum(&self, indices: &[u16]) -> Vec<u32> {
        let mut sum = vec![0u32; self.plain[0].len()];
        for &index in indices {
            let plain = &self.plain[self.roster[usize::from(index)]];
            sum.iter_mut()
                .zip(plain)
                .for_each(|(total, word)| *total += word);
        }
        sum
    }

    /// Restarts the aggregator from what it has stored.
    pub(crate) fn restart(&mut self) {
        self.store();
        let parts = self.stored.iter().map(|(part, bytes)| (*part, bytes));
        self.round = Round::from_parts(parts).expect("stored parts make a round");
    }

    fn store(&mut self) {
        for Change { part, bytes } in self.round.take_changes() {
            match bytes {
                Some(bytes) => drop(self.stored.insert(part, bytes)),
                None => drop(self.stored.remove(&part)),
            }
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        self.store();
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    let client = |to| self.links.iter().position(|link| *link == to);
                    let receivers = to.into_iter().filter_map(client);
                    self.inbox
                        .extend(receivers.map(|client| (client, message.clone())));
                }
                Effect::Publish(outcome) => self.outcome = Some(outcome),
                Effect::Expand => {
                    let expansion = self.round.expansion().expect("masks to expand");
                    let masks = expansion.expand(0..self.plain[0].len());
                    self.event(Event::Expanded(masks));
                }
                Effect::WakeAt(_) | Effect::Aborted(_) => {}
            }
        }
    }

    fn keep(&mut self, client: usize, effects: Vec<ClientEffect>) -> Vec<(usize, Out)> {
        effects
            .into_iter()
            .filter_map(|effect| match effect {
                ClientEffect::Send(bytes) => Some((client, Out::Socket(bytes))),
                ClientEffect::Upload(bytes) => Some((client, Out::Upload(bytes))),
                ClientEffect::Left(reason) => {
                    self.left[client] = Some(reason);
                    None
                }
                _ => None,
            })
            .collect()
    }
}

/// A table in `phase`, whose clients have not yet seen what the aggregator said last.
pub(crate) fn unread(phase: PhaseName, clients: u16) -> Table {
    let (mut table, mut pending) = Table::new(clients);
    loop {
        table.give_all(&pending);
        if table.round.phase() == phase {
            return table;
        }
        pending = table.answers();
    }
}

/// Client 0 is told something else than was said, and leaves for this reason.
pub(crate) fn assert_leaves(
    phase: PhaseName,
    fault: ClientFault,
    change: impl FnOnce(&mut AggregatorMessage),
) {
    let mut table = unread(phase, 5);
    let place = table
        .inbox
        .iter()
        .position(|(client, message)| {
            *client == 0 && !matches!(message, AggregatorMessage::Lobby { .. })
        })
        .expect("a message");
    let mut message = table.inbox[place].1.clone();
    change(&mut message);
    let answers = table.tell(0, message);
    assert_eq!(answers, [], "{fault:?}: silently");
    assert_eq!(table.left[0], Some(LeaveReason::Fault(fault)));
    assert!(table.clients[0].is_over());
}
