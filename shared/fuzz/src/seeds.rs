//! Inputs to start from: valid messages, values and stories, so that a search begins behind the
//! decoders and not before them.

use choir_shared::control::{CreateTask, SiteStatus, SuccessorRequest, TaskState, TaskStatus};
use choir_shared::ids::{Digest, ReportId, RoundId, TaskId, Version};
use choir_shared::messages::{AbortReason, AggregatorMessage};
use choir_shared::reject::RejectCode;
use choir_shared::sim;
use choir_shared::task::{LoraConfig, Payload, SoftPromptConfig, Target, TaskConfig, workload};
use choir_shared::two_aggregators::{BatchRefusal, BatchReply};
use choir_shared::wire;
use serde::Serialize;

use crate::batch_events::Batch;
use crate::scene::{Scene, storage};

mod events;
mod reports;
mod values;

pub(crate) use events::{batch_events, client_events, round_events};
pub(crate) use reports::{report, report_json};
pub(crate) use values::{
    adapter, bitmap, expansion, header, hex, kat_json, keys, ring, roster, sealed_box, shares,
};

use reports::summary;

/// A whole honest round, phase by phase; `look` sees it before each.
fn rounds(clients: u16, mut look: impl FnMut(&mut Scene)) {
    let mut scene = Scene::new(clients);
    for _ in 0..7 {
        look(&mut scene);
        scene.give_all();
        scene.tell_all();
    }
}

pub(crate) fn client_message() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let mut scene = Scene::new(3);
    for _ in 0..5 {
        scene.give_all();
        scene.tell_all();
        scene.relink(0);
    }
    scene.leave(1);
    seeds.extend(
        scene
            .sent
            .iter()
            .filter(|letter| !letter.is_upload)
            .map(|letter| letter.bytes.clone()),
    );
    seeds
}

pub(crate) fn aggregator_message() -> Vec<Vec<u8>> {
    let mut scene = Scene::new(3);
    scene.finish();
    let mut messages = core::mem::take(&mut scene.said);
    messages.push(AggregatorMessage::Aborted {
        reason: AbortReason::WrongShares,
    });
    messages.push(AggregatorMessage::Refused {
        code: RejectCode::StaleVersion,
        version: Some(Version(3)),
    });
    messages.iter().map(wire::encode).collect()
}

pub(crate) fn upload() -> Vec<Vec<u8>> {
    let mut scene = Scene::new(3);
    scene.finish();
    let uploads = scene.sent.iter().filter(|letter| letter.is_upload);
    uploads.map(|letter| letter.bytes.clone()).collect()
}

fn tasks() -> Vec<TaskConfig> {
    let head = sim::head_task(5, 3, 2);
    let mut adapter = workload::encoder();
    if let Payload::Adapter(config) = &mut adapter.payload {
        config.lora = Some(LoraConfig {
            rank: 4,
            alpha: 8.0,
            targets: [Target::Q, Target::V].into(),
        });
        config.soft_prompt = Some(SoftPromptConfig {
            num_virtual_tokens: 4,
        });
    }
    let centroids = TaskConfig {
        payload: Payload::Centroids,
        ..head.clone()
    };
    vec![head, adapter, centroids, sim::language_task(5, 3)]
}

pub(crate) fn task_config() -> Vec<Vec<u8>> {
    tasks().iter().map(wire::encode).collect()
}

pub(crate) fn task_status() -> Vec<Vec<u8>> {
    let status = |config| TaskStatus {
        config,
        version: Version(2),
        adapter: Digest([3; 32]),
        round: Some(RoundId([4; 16])),
        state: TaskState::Running,
        rounds_left: 5,
        successor: Some(TaskId([6; 16])),
        history: [summary()].into(),
    };
    tasks()
        .into_iter()
        .map(|task| wire::encode(&status(task)))
        .collect()
}

pub(crate) fn create_task() -> Vec<Vec<u8>> {
    let request = |config| CreateTask {
        task_id: TaskId([1; 16]),
        config,
        adapter: Digest([2; 32]),
        rounds: 3,
    };
    tasks()
        .into_iter()
        .map(|task| wire::encode(&request(task)))
        .collect()
}

fn kind(kind: u8, value: &impl Serialize) -> Vec<u8> {
    [&[kind], wire::encode(value).as_slice()].concat()
}

pub(crate) fn control() -> Vec<Vec<u8>> {
    let mut seeds = vec![
        kind(0, &SiteStatus { task: None }),
        kind(
            0,
            &SiteStatus {
                task: Some(TaskId([1; 16])),
            },
        ),
        kind(
            1,
            &SuccessorRequest {
                task: TaskId([2; 16]),
            },
        ),
        kind(3, &sim::round_setup(&sim::head_task(5, 3, 2))),
    ];
    rounds(3, |scene| seeds.push(kind(2, &scene.round.status())));
    seeds
}

pub(crate) fn round_state() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    rounds(3, |scene| {
        seeds.push(storage::bytes_of(scene));
        if let Some(letter) = scene.up.pop() {
            scene.give(&letter, true);
            seeds.push(storage::bytes_of(scene));
        }
    });
    seeds
}

pub(crate) fn mode_b_report() -> Vec<Vec<u8>> {
    Batch::new().reports
}

/// A batch of four reports, as the leader asks for it.
fn full_batch() -> Batch {
    let mut batch = Batch::new();
    for report in batch.reports.clone() {
        batch.take(&report);
    }
    batch
}

pub(crate) fn mode_b_batch() -> Vec<Vec<u8>> {
    full_batch().leader.batch().into_iter().collect()
}

pub(crate) fn mode_b_reply() -> Vec<Vec<u8>> {
    let mut batch = full_batch();
    let request = batch.leader.batch().expect("the batch is full");
    let refused = |refusal| wire::encode(&BatchReply::Refused(refusal));
    let mut seeds: Vec<Vec<u8>> = batch.ask(&request).into_iter().collect();
    seeds.push(refused(BatchRefusal::TooFew {
        reports: 2,
        minimum: 3,
    }));
    seeds.push(refused(BatchRefusal::TooFewOpened(vec![ReportId([3; 16])])));
    seeds
}

pub(crate) fn leader_state() -> Vec<Vec<u8>> {
    vec![
        Batch::new().leader.to_bytes(),
        full_batch().leader.to_bytes(),
    ]
}
