//! Mode B under any sequence of events: reports delivered, changed and repeated, a leader that is
//! restarted, batches and replies that are cut, changed or asked for twice.
//!
//! A report counts as used once and in one batch; a sum is that of the updates behind the reports
//! that it says it holds.

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::ids::{Digest, ReportId, Timestamp};
use choir_shared::policy::Policy;
use choir_shared::round::RoundSetup;
use choir_shared::sim;
use choir_shared::task::{Aggregation, Helper};
use choir_shared::two_aggregators::helper::MemoryLog;
use choir_shared::two_aggregators::leader::Received;
use choir_shared::two_aggregators::{
    BatchRequest, HelperKey, HelperTask, Leader, LeaderEffect, Report, ReportClient, ReportSetup,
};
use choir_shared::update::FrozenUpdate;
use choir_shared::wire;
use std::collections::{BTreeMap, BTreeSet};

use crate::script::Script;

/// Leader, helper and clients.
pub(crate) struct Batch {
    pub(crate) leader: Leader,
    helper: HelperTask,
    log: MemoryLog,
    pub(crate) reports: Vec<Vec<u8>>,
    plain: BTreeMap<ReportId, Vec<u32>>,
    /// What the leader was told to keep.
    kept: BTreeMap<ReportId, (Received, Vec<u8>)>,
    used: BTreeSet<ReportId>,
    last: Option<Digest>,
    now: Timestamp,
    summed: bool,
}

/// Each byte is an event. True where a batch was summed.
#[must_use]
pub fn batch_events(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let mut batch = Batch::new();
    let mut steps = 0;
    while let (Some(event), 0..STEPS) = (script.byte(), steps) {
        steps += 1;
        batch.happen(event, &mut script);
    }
    batch.summed
}

const STEPS: usize = 64;

impl Batch {
    pub(crate) fn new() -> Self {
        let mut task = sim::head_task(4, 3, 1);
        task.aggregation = Aggregation::TwoAggregators(Helper {
            url: "https://helper.example".into(),
            key: key().public(),
        });
        let setup = sim::round_setup(&task);
        let mut batch = Self {
            leader: Leader::new(setup.clone()).expect("a task of two aggregators"),
            helper: HelperTask::new(task, setup.task_id, &key().public(), 3)
                .expect("a task of this helper"),
            log: MemoryLog::default(),
            reports: Vec::new(),
            plain: BTreeMap::new(),
            kept: BTreeMap::new(),
            used: BTreeSet::new(),
            last: None,
            now: Timestamp(1_000),
            summed: false,
        };
        (0..5).for_each(|client| batch.report(&setup, client));
        batch
    }

    fn report(&mut self, setup: &RoundSetup, client: u64) {
        let mut entropy = InsecureSeededEntropy::new(client);
        let values = [0.1, -0.2, 0.3, client as f32 / 10.0];
        let update = FrozenUpdate::new(&values, 3, &setup.task, &mut entropy).expect("an update");
        let plain = update.plain_words().to_vec();
        let helpers = [key().public()];
        let setup = ReportSetup {
            policy: Policy::demo(),
            helpers: &helpers,
            task: &setup.task,
            task_id: setup.task_id,
            round_id: setup.round_id,
            version: setup.version,
            adapter: setup.adapter,
        };
        let report = ReportClient::new(&setup, update, &mut entropy).expect("a report");
        self.plain.insert(report.id(), plain);
        self.reports.push(report.bytes().to_vec());
    }

    fn happen(&mut self, event: u8, script: &mut Script<'_>) {
        match event % 9 {
            0 | 1 => {
                if let Some(place) = script.place(self.reports.len()) {
                    self.take(&self.reports[place].clone());
                }
            }
            2 => {
                if let Some(place) = script.place(self.reports.len()) {
                    let spoilt = script.spoil(&self.reports[place]);
                    self.take(&spoilt);
                }
            }
            3 => self.wait(u32::from(script.word())),
            4 => self.restart(),
            5 => self.sum(),
            6 => {
                if let Some(request) = self.leader.batch() {
                    drop(self.ask(&script.spoil(&request)));
                }
            }
            7 => {
                let asked = self.leader.batch().and_then(|batch| self.ask(&batch));
                if let Some(reply) = asked {
                    drop(self.leader.replied(&script.spoil(&reply)));
                }
            }
            _ => self.ask_for_some(script.or_zero()),
        }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        let before = self.leader.to_bytes();
        let Ok(effects) = self.leader.report(bytes, self.now) else {
            assert_eq!(self.leader.to_bytes(), before, "a refusal changes nothing");
            return;
        };
        let report: Report<'_> = wire::decode(bytes, bytes.len()).expect("it was taken");
        for effect in effects {
            if let LeaderEffect::Keep(id, received) = effect {
                let words = report.words.to_vec();
                let known = self.kept.insert(id, (received, words));
                assert!(known.is_none(), "a report is taken once");
            }
        }
    }

    fn wait(&mut self, milliseconds: u32) {
        self.now = self.now.after(milliseconds);
        let _ = self.leader.tick(self.now);
    }

    fn restart(&mut self) {
        let bytes = self.leader.to_bytes();
        let reports = self.kept.iter().map(|(id, (received, _))| (*id, *received));
        self.leader = Leader::from_parts(&bytes, reports.collect()).expect("stored parts");
        assert_eq!(self.leader.to_bytes(), bytes);
    }

    /// The helper's reply, whose reports are then used, and never were before.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let reply = self.helper.answer(&key(), request, &mut self.log).ok()?;
        let batch = Digest::of(request);
        if self.last.replace(batch) == Some(batch) {
            return Some(reply);
        }
        let request: BatchRequest = wire::decode(request, request.len()).expect("it was answered");
        assert!(request.reports.len() >= 3, "no batch below the minimum");
        for report in request.reports {
            assert!(self.used.insert(report.id), "a report is used once");
        }
        Some(reply)
    }

    pub(crate) fn sum(&mut self) {
        let Some(reply) = self.leader.batch().and_then(|batch| self.ask(&batch)) else {
            return;
        };
        let Ok(mut sum) = self.leader.replied(&reply) else {
            return;
        };
        let wanted = sum.wanted();
        let mut plain = vec![0; 5];
        for id in &wanted {
            sum.add(*id, &self.kept[id].1).expect("the kept vector");
            let update = self.plain.get(id).expect("only a true report opens");
            for (total, word) in plain.iter_mut().zip(update) {
                *total += word;
            }
        }
        let outcome = sum.finish().expect("true updates are in range");
        assert_eq!(outcome.sum, plain, "the sum is that of its reports");
        self.summed = true;
    }

    /// A leader that asks for some of its reports only.
    fn ask_for_some(&mut self, bits: u8) {
        let request = self.leader.batch();
        let Some(mut request) =
            request.and_then(|request| wire::decode::<BatchRequest>(&request, request.len()).ok())
        else {
            return;
        };
        let mut place = 0;
        request.reports.retain(|_| {
            place += 1;
            bits >> (place - 1) & 1 == 1
        });
        drop(self.ask(&wire::encode(&request)));
    }
}

fn key() -> HelperKey {
    HelperKey::new([42; 32].into())
}
