//! A round of six clients whose helper's secret is known.

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::ids::{Digest, PublicKey, ReportId, RoundId, TaskId, Timestamp, Version};
use choir_shared::messages::AbortReason;
use choir_shared::policy::Policy;
use choir_shared::round::{Outcome, RoundSetup};
use choir_shared::sim;
use choir_shared::task::{Aggregation, Helper, TaskConfig};
use choir_shared::two_aggregators::helper::MemoryLog;
use choir_shared::two_aggregators::{
    AnswerError, BatchAnswer, BatchRefusal, BatchReply, BatchRequest, HelperKey, HelperTask,
    Leader, LeaderEffect, Report, ReportClient, ReportSetup,
};
use choir_shared::update::FrozenUpdate;
use choir_shared::wire;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

pub(crate) const DIM: u32 = 5;
pub(crate) const VALUES: usize = 12;
pub(crate) const NOW: Timestamp = Timestamp(1_000_000);

pub(crate) fn secret() -> HelperKey {
    HelperKey::new(Zeroizing::new([42; 32]))
}

pub(crate) fn task() -> TaskConfig {
    let mut task = sim::head_task(6, 3, DIM);
    task.aggregation = Aggregation::TwoAggregators(Helper {
        url: "https://helper.example".into(),
        key: secret().public(),
    });
    task
}

pub(crate) fn round() -> RoundSetup {
    RoundSetup {
        task: task(),
        task_id: TaskId([1; 16]),
        round_id: RoundId([2; 16]),
        version: Version(3),
        adapter: Digest([4; 32]),
    }
}

pub(crate) fn helper_task() -> HelperTask {
    HelperTask::new(task(), TaskId([1; 16]), &secret().public(), 3).expect("a task of this helper")
}

pub(crate) fn report_setup<'a>(round: &'a RoundSetup, helpers: &'a [PublicKey]) -> ReportSetup<'a> {
    ReportSetup {
        policy: Policy::demo(),
        helpers,
        task: &round.task,
        task_id: round.task_id,
        round_id: round.round_id,
        version: round.version,
        adapter: round.adapter,
    }
}

pub(crate) fn update(client: u64, entropy: &mut InsecureSeededEntropy) -> FrozenUpdate {
    let values: Vec<f32> = (0..VALUES)
        .map(|place| (place as f32 - client as f32) / 100.0)
        .collect();
    FrozenUpdate::new(&values, 5 + client as u32, &task(), entropy).expect("an update")
}

/// A report of `round`, and the plain integers behind it.
pub(crate) fn report_of(round: &RoundSetup, client: u64) -> (ReportClient, Vec<u32>) {
    let mut entropy = InsecureSeededEntropy::new(client);
    let update = update(client, &mut entropy);
    let plain = update.plain_words().to_vec();
    let helpers = [secret().public()];
    let report = ReportClient::new(&report_setup(round, &helpers), update, &mut entropy);
    (report.expect("a report"), plain)
}

/// A leader, the vectors that it was told to keep, and the plain updates.
pub(crate) struct Stage {
    pub(crate) leader: Leader,
    pub(crate) kept: BTreeMap<ReportId, Vec<u8>>,
    pub(crate) plain: BTreeMap<ReportId, Vec<u32>>,
    pub(crate) effects: Vec<LeaderEffect>,
}

impl Stage {
    pub(crate) fn with(clients: u64) -> Self {
        let round = round();
        let mut stage = Self {
            leader: Leader::new(round.clone()).expect("a task of two aggregators"),
            kept: BTreeMap::new(),
            plain: BTreeMap::new(),
            effects: Vec::new(),
        };
        for client in 0..clients {
            let (report, plain) = report_of(&round, client);
            stage.plain.insert(report.id(), plain);
            stage.take(report.bytes());
        }
        stage
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        let report: Report<'_> = wire::decode(bytes, 1 << 20).expect("a report");
        let effects = self.leader.report(bytes, NOW).expect("is taken");
        self.kept.insert(report.id, report.words.to_vec());
        self.effects.extend(effects);
    }

    pub(crate) fn late(&mut self) -> Option<LeaderEffect> {
        self.leader.tick(NOW.after(task().deadlines.enroll_ms))
    }

    pub(crate) fn request(&self) -> BatchRequest {
        wire::decode(&self.leader.batch().expect("asks"), 1 << 20).expect("a request")
    }

    pub(crate) fn sum(&self, reply: &[u8]) -> Result<Outcome, AbortReason> {
        let mut sum = self.leader.replied(reply).expect("an answer");
        for id in sum.wanted() {
            sum.add(id, &self.kept[&id]).expect("the reported vector");
        }
        sum.finish()
    }

    pub(crate) fn plain_sum(&self, without: &[ReportId]) -> Vec<u32> {
        let mut sum = vec![0; VALUES + 1];
        for (_, plain) in self.plain.iter().filter(|(id, _)| !without.contains(id)) {
            sum.iter_mut()
                .zip(plain)
                .for_each(|(total, word)| *total += word);
        }
        sum
    }
}

pub(crate) fn answer(request: &BatchRequest, log: &mut MemoryLog) -> Result<Vec<u8>, BatchRefusal> {
    answer_bytes(&wire::encode(request), log)
}

pub(crate) fn answer_bytes(request: &[u8], log: &mut MemoryLog) -> Result<Vec<u8>, BatchRefusal> {
    helper_task()
        .answer(&secret(), request, log)
        .map_err(|error| match error {
            AnswerError::Refused(refusal) => refusal,
            AnswerError::Log(never) => match never {},
        })
}

pub(crate) fn answered(reply: &[u8]) -> BatchAnswer {
    match wire::decode(reply, 1 << 20).expect("a reply") {
        BatchReply::Answer(answer) => answer,
        BatchReply::Refused(refusal) => panic!("refused: {refusal}"),
    }
}
