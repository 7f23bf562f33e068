//! Decoders of whole messages, statuses and states: whatever decodes encodes to bytes that decode to
//! the same, and whatever can be asked of it can be asked without a panic.

use choir_shared::control::{CreateTask, RoundStatus, SiteStatus, SuccessorRequest, TaskStatus};
use choir_shared::ids::{Digest, RoundId, TaskId, Timestamp, Version};
use choir_shared::kat::{self, KatInput};
use choir_shared::messages::{AggregatorMessage, ClientMessage, Upload};
use choir_shared::policy::Policy;
use choir_shared::report::{Evaluation, RoundFigures, TaskFigures, TaskList, TaskReport, Totals};
use choir_shared::round::RoundSetup;
use choir_shared::secure_sum::{Header, Parameters};
use choir_shared::strategy::ServerOptimizer;
use choir_shared::task::{AdapterLayout, TaskConfig};
use choir_shared::two_aggregators::{BatchReply, BatchRequest, Leader, Report};
use choir_shared::wire::{self, limits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

use crate::scene::storage;

/// What a client says over its socket.
#[must_use]
pub fn client_message(data: &[u8]) -> bool {
    let message = survives::<ClientMessage>(data, limits::CLIENT_MESSAGE);
    message.inspect(|message| asked(message.round())).is_some()
}

/// What the aggregator says.
#[must_use]
pub fn aggregator_message(data: &[u8]) -> bool {
    survives::<AggregatorMessage>(data, limits::AGGREGATOR_MESSAGE).is_some()
}

/// The body of an upload.
#[must_use]
pub fn upload(data: &[u8]) -> bool {
    let Ok(upload) = wire::decode::<Upload<'_>>(data, limits::upload(900)) else {
        return false;
    };
    let again = wire::encode(&upload);
    let decoded = wire::decode::<Upload<'_>>(&again, again.len());
    assert_eq!(decoded, Ok(upload), "an upload survives encoding");
    assert!(upload.words.len() <= data.len(), "words are borrowed");
    true
}

/// A task's settings; those that pass the check have a layout, a ring and a header.
#[must_use]
pub fn task_config(data: &[u8]) -> bool {
    let Some(task) = survives::<TaskConfig>(data, limits::TASK_CONFIG) else {
        return false;
    };
    sound_task(&task);
    task.check().is_ok()
}

/// A task as it is shown.
#[must_use]
pub fn task_status(data: &[u8]) -> bool {
    let status = survives::<TaskStatus>(data, limits::TASK_STATUS);
    status
        .inspect(|status| sound_task(&status.config))
        .is_some()
}

/// An operator's new task.
#[must_use]
pub fn create_task(data: &[u8]) -> bool {
    let request = survives::<CreateTask>(data, limits::OPERATOR_REQUEST);
    request
        .inspect(|request| sound_task(&request.config))
        .is_some()
}

/// The small bodies; the first byte says which.
#[must_use]
pub fn control(data: &[u8]) -> bool {
    let Some((kind, body)) = data.split_first() else {
        return false;
    };
    match kind % 4 {
        0 => survives::<SiteStatus>(body, limits::SMALL_STATUS).is_some(),
        1 => survives::<SuccessorRequest>(body, limits::OPERATOR_REQUEST).is_some(),
        2 => survives::<RoundStatus>(body, limits::SMALL_STATUS).is_some(),
        _ => survives::<RoundSetup>(body, limits::TASK_CONFIG + 256)
            .inspect(|setup| sound_task(&setup.task))
            .is_some(),
    }
}

/// Reports as the aggregator's parts exchange them; the first byte says which.
#[must_use]
pub fn report(data: &[u8]) -> bool {
    let Some((kind, body)) = data.split_first() else {
        return false;
    };
    let limit = limits::TASK_STATUS;
    match kind % 6 {
        0 => survives::<TaskList>(body, limit).is_some(),
        1 => survives::<Evaluation>(body, limit)
            .inspect(sound_evaluation)
            .is_some(),
        2 => survives::<RoundFigures>(body, limit).is_some(),
        3 => survives::<Totals>(body, limit).is_some(),
        4 => survives::<TaskFigures>(body, limit).is_some(),
        _ => survives::<TaskReport>(body, limit).is_some(),
    }
}

/// What operators send and get as JSON; the first byte says which.
#[must_use]
pub fn report_json(data: &[u8]) -> bool {
    let Some((kind, text)) = data.split_first() else {
        return false;
    };
    match kind % 4 {
        0 => json::<TaskList>(text).is_some(),
        1 => json::<Evaluation>(text).inspect(sound_evaluation).is_some(),
        2 => json::<TaskReport>(text).is_some(),
        _ => json::<ServerOptimizer>(text).is_some(),
    }
}

/// A round's header.
#[must_use]
pub fn header(data: &[u8]) -> bool {
    let header = survives::<Header>(data, 256);
    header
        .inspect(|header| assert_eq!(header.to_bytes(), wire::encode_bare(header)))
        .is_some()
}

/// A round of stored parts: it is refused, or it answers every question and goes on.
#[must_use]
pub fn round_state(data: &[u8]) -> bool {
    let Some(mut round) = storage::restore(data) else {
        return false;
    };
    assert_eq!(round.status().phase, round.phase());
    asked((round.counts(), round.deadline(), round.outcome()));
    storage::go_on(&mut round, Timestamp(u64::MAX / 2));
    true
}

/// Known answers: what is asked for is answered or refused.
#[must_use]
pub fn kat_json(data: &[u8]) -> bool {
    let Ok(input) = serde_json::from_slice::<KatInput>(data) else {
        return false;
    };
    // The numbers are what a person asks for on the own machine: many clients or coordinates take
    // long, and that is all.
    let is_small = input.clients.len() <= 5 && input.d <= 64;
    is_small && kat::kat(&input).is_ok()
}

/// Mode B: the body of a report.
#[must_use]
pub fn mode_b_report(data: &[u8]) -> bool {
    let Ok(report) = wire::decode::<Report<'_>>(data, 1_024) else {
        return false;
    };
    let again = wire::encode(&report);
    let decoded = wire::decode::<Report<'_>>(&again, again.len());
    assert_eq!(decoded, Ok(report), "a report survives encoding");
    true
}

/// Mode B: what the leader asks.
#[must_use]
pub fn mode_b_batch(data: &[u8]) -> bool {
    survives::<BatchRequest>(data, 2_048).is_some()
}

/// Mode B: what the helper replies.
#[must_use]
pub fn mode_b_reply(data: &[u8]) -> bool {
    survives::<BatchReply>(data, 2_048).is_some()
}

/// Mode B: a leader of stored bytes goes on or is refused.
#[must_use]
pub fn leader_state(data: &[u8]) -> bool {
    let Ok(mut leader) = Leader::from_parts(data, BTreeMap::new()) else {
        return false;
    };
    asked((leader.report_limit(), leader.reply_limit(), leader.batch()));
    asked(leader.tick(Timestamp(u64::MAX)));
    leader.stop();
    asked(Leader::from_parts(&leader.to_bytes(), BTreeMap::new()).expect("own bytes"));
    true
}

/// Decodes, and checks that encoding and decoding gives the same again. Compared are bytes: a NaN
/// is not equal to itself.
fn survives<T: Serialize + DeserializeOwned>(data: &[u8], max_len: usize) -> Option<T> {
    let value: T = wire::decode(data, max_len).ok()?;
    let bytes = wire::encode(&value);
    let again: T = wire::decode(&bytes, bytes.len()).expect("own bytes decode");
    assert_eq!(wire::encode(&again), bytes, "a value survives encoding");
    Some(value)
}

/// An answer that may be any, but has to come.
fn asked<T>(answer: T) {
    core::hint::black_box(answer);
}

fn json<T: Serialize + DeserializeOwned>(text: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(text).ok()?;
    let printed = serde_json::to_vec(&value).expect("own types print");
    // Numbers that are none print as null, which is none of them.
    if let Ok(again) = serde_json::from_slice::<T>(&printed) {
        let again = serde_json::to_vec(&again).expect("own types print");
        assert_eq!(again, printed, "a value survives JSON");
    }
    Some(value)
}

fn sound_evaluation(evaluation: &Evaluation) {
    if evaluation.check(Version(u32::MAX)).is_ok() {
        assert!((0.0..=1.0).contains(&evaluation.accuracy) && evaluation.examples > 0);
    }
}

fn sound_task(task: &TaskConfig) {
    asked((task.digest(), Policy::default().allows(task)));
    let digest = task.model_digest(Version(0), Digest([0; 32]));
    if task.check().is_err() {
        return;
    }
    let layout = AdapterLayout::new(task).expect("a sound task has a layout");
    assert!(layout.ring_len() <= limits::MAX_COORDINATES);
    let ring = task.ring();
    let top = u64::from(task.cohort.cohort_size)
        * u64::from(task.quantiser.levels)
        * u64::from(task.quantiser.weight_max);
    assert!(top <= u64::from(ring.mask()), "no sum wraps");
    let cohort = &task.cohort;
    // Above, a graph is searched for, which takes too long here.
    if cohort.cohort_size < 50 {
        let parameters = Parameters::new(
            cohort.cohort_size,
            cohort.corrupt_permille,
            cohort.drop_permille,
        );
        let parameters = parameters.expect("a sound task has parameters");
        let header = Header::new(task, TaskId([0; 16]), RoundId([0; 16]), digest, &parameters);
        assert_eq!(header.expect("and a header").r, ring.bits());
    }
}
