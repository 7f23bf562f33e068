//! The bench's task: a payload of about so many coordinates in a ring of so many bits, under the
//! production parameters.

use super::Options;
use crate::demo::fresh_id;
use crate::failure::{Failure, Outcome};
use crate::operator::Operator;
use choir_shared::control::CreateTask;
use choir_shared::fixed_point;
use choir_shared::ids::TaskId;
use choir_shared::policy::Policy;
use choir_shared::task::{
    AdapterConfig, AdapterLayout, CohortConfig, Deadlines, LoraConfig, Payload, Quantiser, Target,
    TaskConfig, workload,
};
use choir_shared::wire::limits;

/// The task.
///
/// # Errors
/// `Data` where the options make none.
pub(super) fn config(options: &Options) -> Outcome<TaskConfig> {
    let base = workload::encoder();
    let columns = options.coordinates / (base.base.shape.dim as usize + 1);
    let is_head = (2..=limits::MAX_LABELS).contains(&columns);
    let count = if is_head { columns } else { 2 };
    let task = TaskConfig {
        name: "live bench".to_owned(),
        labels: (0..count).map(|label| format!("label {label}")).collect(),
        payload: Payload::Adapter(AdapterConfig {
            lora: (!is_head).then(|| lora(options.coordinates)),
            soft_prompt: None,
            head: true,
        }),
        quantiser: quantiser(options),
        cohort: CohortConfig {
            cohort_size: options.clients,
            min_cohort: options.min_cohort(),
            corrupt_permille: Policy::default().corrupt_permille,
            drop_permille: DROP_PERMILLE,
        },
        deadlines: Deadlines {
            enroll_ms: LOBBY_MS,
            share_keys_ms: BARRIER_MS,
            collect_ms: UPLOAD_MS,
            confirm_ms: BARRIER_MS,
            unmask_ms: BARRIER_MS,
        },
        ..base
    };
    task.check()
        .map_err(|error| Failure::Data(format!("this makes no task: {error}")))?;
    if task.ring().bits() != options.ring {
        return Err(Failure::Data(format!(
            "these settings make a ring of {} bits",
            task.ring().bits()
        )));
    }
    Ok(task)
}

/// Creates the task with a version 0 of zeros, and opens its first round.
///
/// # Errors
/// `Http` where the aggregator refuses.
pub(super) fn create(operator: &Operator, config: &TaskConfig) -> Outcome<TaskId> {
    let zeros = vec![0.0; coordinates(config)?];
    let adapter = operator.put_object(&fixed_point::adapter_bytes(&zeros))?;
    let task_id = fresh_id()?;
    operator.create(&CreateTask {
        task_id,
        config: config.clone(),
        adapter,
        rounds: ROUNDS,
    })?;
    Ok(task_id)
}

/// Coordinates of the payload.
///
/// # Errors
/// `Data` where the task has none.
pub(super) fn coordinates(config: &TaskConfig) -> Outcome<usize> {
    let layout = AdapterLayout::new(config);
    let layout = layout.map_err(|error| Failure::Data(error.to_string()))?;
    Ok(layout.len())
}

/// LoRA on every linear layer: 41,472 coordinates for each rank of the workload's encoder.
fn lora(coordinates: usize) -> LoraConfig {
    let rank = (coordinates / COORDINATES_OF_A_RANK).max(1) as u16;
    LoraConfig {
        rank,
        alpha: f32::from(rank),
        targets: Target::ALL.to_vec(),
    }
}

/// Levels as the design's profiles have them, and the largest weight that leaves one bit of slack:
/// `clients * weight_max * levels < 2^(ring - 1)`.
fn quantiser(options: &Options) -> Quantiser {
    let levels: u32 = match options.ring {
        16 => (1 << 7) - 1,
        24 => (1 << 14) - 1,
        _ => (1 << 16) - 1,
    };
    let most = (1_u64 << (options.ring - 1)) - 1;
    let weight_max = most / (u64::from(options.clients) * u64::from(levels));
    Quantiser {
        levels,
        bound: 0.125,
        weight_max: weight_max.clamp(1, 512) as u32,
    }
}

/// What the production parameters assume to be lost of a cohort.
const DROP_PERMILLE: u16 = 300;
/// A cohort is who is there two seconds after the first.
const LOBBY_MS: u32 = 2_000;
/// Closed sockets end a phase early: only a client that hangs is waited for.
const BARRIER_MS: u32 = 10_000;
const UPLOAD_MS: u32 = 20_000;
/// More rounds than any run has.
const ROUNDS: u32 = 10_000;
const COORDINATES_OF_A_RANK: usize = 41_472;
