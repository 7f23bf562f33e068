//! Many clients against one aggregator, on a virtual clock, with seeded faults.
//!
//! Every message is encoded, carried for a random time and decoded; messages of one connection stay
//! in order, connections among each other do not. [`Faults`] drops clients at chosen steps, repeats,
//! reorders, replays and damages messages, breaks connections, stops clocks, restarts the aggregator
//! from its stored parts and has clients lie ([`Corruption`]). [`schedule`] draws plans of all of it.
//! The same plan gives the same run.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::entropy::InsecureSeededEntropy;
use crate::ids::{ConnectionId, Digest, RoundId, TaskId, Timestamp, Version};
use crate::messages::{AbortReason, Receipt};
use crate::policy::Policy;
use crate::reject::RejectCode;
use crate::round::aggregator::Part;
use crate::round::{
    ClientRound, JoinSetup, LeaveReason, Outcome, PhaseName, Round, RoundSetup, SetupError,
};
use crate::secure_sum::Ring;
use crate::task::TaskConfig;
use crate::update::FrozenUpdate;

mod corrupt;
pub mod graph;
pub mod issuer;
mod links;
mod network;
pub mod partition;
pub mod random;
pub mod schedule;
mod tasks;

pub use corrupt::Corruption;
pub use tasks::{head_task, language_task};

use corrupt::{Liar, Tap};
use network::Delivery;

/// A step of a client, named by the message that it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// JOIN.
    Join,
    /// SHARE.
    Share,
    /// UPLOAD.
    Upload,
    /// ACK.
    Ack,
    /// OPEN.
    Open,
}

/// When a client closes for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Instead of sending this step's message.
    Before(Step),
    /// Once this step's message has arrived.
    After(Step),
    /// With half of the upload sent.
    MidUpload,
    /// With so many hundredths of the upload sent.
    CutUpload(u8),
}

/// What goes wrong in a run, in thousandths of the occasions.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Clients that close, and when.
    pub closes: Vec<(usize, Close)>,
    /// A message arrives twice.
    pub duplicate_permille: u64,
    /// A connection breaks before a message is sent on it, and is opened again.
    pub break_permille: u64,
    /// The aggregator restarts from its stored parts after an event.
    pub restart_permille: u64,
    /// Longest time that a message takes.
    pub max_delay_ms: u64,
    /// A message overtakes others of its connection.
    pub reorder_permille: u64,
    /// Beside a message of a client's an older one arrives again: of this round or of another, on a
    /// client's connection or on a stranger's.
    pub replay_permille: u64,
    /// Messages of another round, to be replayed.
    pub old_messages: Vec<Vec<u8>>,
    /// A message to the aggregator arrives cut, with a flipped bit, or too long; or does so beside
    /// the true one, on a stranger's connection.
    pub damage_permille: u64,
    /// A client that closes is not seen to close.
    pub silent_permille: u64,
    /// The aggregator's clock wakes it late, by up to [`Self::stall_ms`].
    pub stall_permille: u64,
    /// Longest stall.
    pub stall_ms: u64,
    /// Clients that do not keep to the protocol, and how.
    pub corrupt: Vec<(usize, Corruption)>,
    /// What is wrong with the aggregator's platform, so that a check of its rounds must notice.
    pub broken: Option<Broken>,
}

/// A platform that does its round wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It expands the masks wrongly, by one in one word.
    Masks,
    /// It never wakes.
    Sleeps,
    /// It panics where the round refuses something.
    Panics,
}

/// One simulated round.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of everything random.
    pub seed: u64,
    /// The task.
    pub task: TaskConfig,
    /// One update and its example count for each client.
    pub updates: Vec<(Vec<f32>, u32)>,
    /// The clients' conditions.
    pub policy: Policy,
    /// What goes wrong.
    pub faults: Faults,
}

/// How a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEnd {
    /// DONE arrived.
    Finished(Receipt),
    /// It left.
    Left(LeaveReason),
    /// The plan closed it.
    Closed,
    /// It was still waiting when nothing more happened.
    Waiting(PhaseName),
}

/// What a run showed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The published result.
    pub outcome: Option<Outcome>,
    /// Why there is none.
    pub abort: Option<AbortReason>,
    /// The plain integers of each client.
    pub plain: Vec<Vec<u32>>,
    /// The ring that they are added in.
    pub ring: Ring,
    /// The client at each place of the roster.
    pub roster: Vec<usize>,
    /// How each client ended.
    pub clients: Vec<ClientEnd>,
    /// Refusals, in order.
    pub rejects: Vec<RejectCode>,
    /// Every message and upload that left a client.
    pub sent: Vec<(usize, Vec<u8>)>,
    /// Every state part that the aggregator stored.
    pub states: Vec<Vec<u8>>,
    /// Every sum part that it stored before the sum was plain.
    pub masked_sums: Vec<Vec<u32>>,
    /// What the masked vector of each client hides, where a corrupt one has changed it.
    pub uploaded: BTreeMap<usize, Vec<u32>>,
    /// How often each fault was injected, by name.
    pub injected: BTreeMap<&'static str, u64>,
    /// Where the aggregator's round ended.
    pub phase: PhaseName,
    /// When the last event happened.
    pub finished_at: Timestamp,
}

impl Report {
    /// The plain sum of the clients at these places of the roster: of what the vectors hide that
    /// they uploaded.
    #[must_use]
    pub fn plain_sum(&self, indices: &[u16]) -> Vec<u32> {
        let mut sum = alloc::vec![0u32; self.plain.first().map_or(0, Vec::len)];
        for &index in indices {
            let client = self.roster[usize::from(index)];
            let plain = self.uploaded.get(&client).unwrap_or(&self.plain[client]);
            for (total, word) in sum.iter_mut().zip(plain) {
                *total = total.wrapping_add(*word) & self.ring.mask();
            }
        }
        sum
    }

    /// The uploads, one for each client that sent one whole.
    #[must_use]
    pub fn uploads(&self) -> BTreeMap<usize, &[u8]> {
        let upload = crate::wire::limits::upload(4 * self.plain.first().map_or(0, Vec::len));
        let longest = self
            .sent
            .iter()
            .map(|(_, bytes)| bytes.len())
            .filter(|len| *len <= upload);
        let size = longest.max().unwrap_or(0);
        let whole = self.sent.iter().filter(|(_, bytes)| bytes.len() == size);
        whole
            .map(|(client, bytes)| (*client, bytes.as_slice()))
            .collect()
    }
}

struct Client {
    round: ClientRound,
    connection: ConnectionId,
    close: Option<Close>,
    liar: Option<Liar>,
    end: Option<ClientEnd>,
}

/// The state of a run.
struct Simulation {
    plan: Plan,
    entropy: InsecureSeededEntropy,
    round: Round,
    stored: BTreeMap<Part, Vec<u8>>,
    clients: Vec<Client>,
    queue: BTreeMap<(u64, u64), Delivery>,
    last_on: BTreeMap<(ConnectionId, bool), u64>,
    sequence: u64,
    now: Timestamp,
    next_connection: u64,
    report: Report,
}

/// Runs a plan until nothing more happens.
///
/// # Errors
/// [`SetupError`] if the plan's task makes no sense.
///
/// # Panics
/// If an update is not one of the task, the policy does not allow the task, or the aggregator cannot
/// be restored from what it stored.
pub fn run(plan: Plan) -> Result<Report, SetupError> {
    let mut entropy = InsecureSeededEntropy::new(plan.seed);
    let setup = round_setup(&plan.task);
    let round = Round::new(setup.clone())?;
    let mut report = empty_report(plan.task.ring());
    let mut clients = Vec::new();
    let mut starts = Vec::new();
    for (place, (values, example_count)) in plan.updates.iter().enumerate() {
        let update = FrozenUpdate::new(values, *example_count, &plan.task, &mut entropy)
            .expect("the plan's updates are of its task");
        report.plain.push(update.plain_words().to_vec());
        let join = JoinSetup {
            policy: plan.policy,
            task: &plan.task,
            task_id: setup.task_id,
            round_id: setup.round_id,
            version: setup.version,
            adapter: setup.adapter,
        };
        let corruption = plan
            .faults
            .corrupt
            .iter()
            .find(|(client, _)| *client == place);
        let mut tap = Tap::new(&mut entropy);
        let (round, effects) =
            ClientRound::join(&join, update, &mut tap).expect("the plan's policy allows its task");
        let liar = corruption.map(|(_, corruption)| Liar::new(*corruption, tap.taken()));
        let close = plan
            .faults
            .closes
            .iter()
            .find(|(client, _)| *client == place);
        clients.push(Client {
            round,
            connection: ConnectionId(place as u64),
            close: close.map(|(_, close)| *close),
            liar,
            end: None,
        });
        starts.push(effects);
    }
    let next_connection = clients.len() as u64;
    let mut simulation = Simulation {
        entropy,
        round,
        stored: BTreeMap::new(),
        clients,
        queue: BTreeMap::new(),
        last_on: BTreeMap::new(),
        sequence: 0,
        now: Timestamp(1_000),
        next_connection,
        report,
        plan,
    };
    for (client, effects) in starts.into_iter().enumerate() {
        simulation.carry_out(client, effects);
    }
    Ok(simulation.finish())
}

/// What the round of a simulated task is opened with.
#[must_use]
pub fn round_setup(task: &TaskConfig) -> RoundSetup {
    RoundSetup {
        task: task.clone(),
        task_id: TaskId([1; 16]),
        round_id: RoundId([2; 16]),
        version: Version(0),
        adapter: Digest::of(b"version 0"),
    }
}

const fn empty_report(ring: Ring) -> Report {
    Report {
        outcome: None,
        abort: None,
        plain: Vec::new(),
        ring,
        roster: Vec::new(),
        clients: Vec::new(),
        rejects: Vec::new(),
        sent: Vec::new(),
        states: Vec::new(),
        masked_sums: Vec::new(),
        uploaded: BTreeMap::new(),
        injected: BTreeMap::new(),
        phase: PhaseName::Enroll,
        finished_at: Timestamp(0),
    }
}
