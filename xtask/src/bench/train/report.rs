//! The result of our own rows alone, for each workload.

use super::figures::Clock;
use super::plan::Plan;
use super::row::{Backend, Library, Row};
use super::session::Session;
use super::workload::Workload;
use crate::failure::{Failure, Outcome};
use serde_json::{Value, json};

/// One workload's result, or a list of them.
///
/// # Errors
/// `Check` with the first row that has no times or other losses than the reference.
pub(super) fn of(plan: &Plan, session: &Session) -> Outcome<Value> {
    let mut found = Vec::new();
    for workload in Workload::ALL {
        if session.rows.iter().any(|row| row.spec.workload == workload) {
            found.push(one(plan, session, workload).map_err(Failure::Check)?);
        }
    }
    Ok(match found.len() {
        1 => found.remove(0),
        _ => Value::Array(found),
    })
}

fn one(plan: &Plan, session: &Session, workload: &Workload) -> Result<Value, String> {
    let clock = session.clock();
    let of = |backend| {
        let mut rows = session.rows.iter();
        rows.find(|row| row.spec.is(Library::Choir, backend, workload))
    };
    let mut result = json!({
        "workload": workload.name,
        "adapter": session.machine.adapter,
        "clock": clock.name(),
        "quick": plan.quick,
        "weights": plan.precision.name(),
        "cores": session.machine.cores,
    });
    if let Some(row) = of(Backend::Webgpu) {
        add_webgpu(&mut result, session, row)?;
    }
    if let Some(row) = of(Backend::Cpu) {
        result["cpu_ms_per_step"] = json!(row.timed(clock)?.median);
        result["cpu_wall_ms_per_step"] = json!(row.timed(Clock::Wall)?.median);
        result["cpu_peak_bytes"] = json!(row.comparable()?.own.map(|own| own.peak_bytes));
    }
    if let Some(row) = of(Backend::CpuJoint) {
        add_joint(&mut result, session, row, of(Backend::Cpu))?;
    }
    Ok(result)
}

/// Engine cpu in two threads, beside the same in one.
fn add_joint(
    result: &mut Value,
    session: &Session,
    row: &Row,
    alone: Option<&Row>,
) -> Result<(), String> {
    let clock = session.clock();
    let wall = row.timed(Clock::Wall)?;
    let mut joint = json!({
        "threads": row.comparable()?.threads,
        "adapter": row.adapter,
        "repetitions": row.spec.timed,
        "ms_per_step": row.timed(clock)?.json(),
        "wall_ms_per_step": wall.json(),
    });
    if let Some(alone) = alone {
        let alone_wall = alone.timed(Clock::Wall)?;
        joint["one_thread_ms_per_step"] = alone.timed(clock)?.json();
        joint["one_thread_wall_ms_per_step"] = alone_wall.json();
        joint["times_as_fast_by_wall"] = json!(alone_wall.median / wall.median);
    }
    result["cpu_in_two_threads"] = joint;
    Ok(())
}

fn add_webgpu(result: &mut Value, session: &Session, row: &Row) -> Result<(), String> {
    let clock = session.clock();
    let measured = row.comparable()?;
    let checked = measured.losses.len().min(row.spec.workload.losses.len());
    let times = row.timed(clock)?;
    let floor_ms = row.spec.workload.step_gflop / session.rate() * 1000.0;
    result["steps_checked"] = json!(checked);
    result["ms_per_step"] = times.json();
    result["wall_ms_per_step"] = row.timed(Clock::Wall)?.json();
    result["first_step_ms"] = json!(measured.walls.first());
    let steady = row.timed(Clock::Wall)?.median;
    let waited = measured.walls.first().map(|first| first - steady);
    result["first_step_over_steady_ms"] = json!(waited);
    if let Some(own) = measured.own {
        result["dispatches_per_step"] = json!(own.dispatches);
        result["submits_per_step"] = json!(own.submits);
        result["readbacks_per_step"] = json!(own.readbacks);
        result["kernels"] = json!(own.kernels);
        result["kernels_ready_ms"] = json!(own.prepared_ms);
        result["peak_gpu_bytes"] = json!(own.peak_bytes);
    }
    let last = session.limits.last();
    result["limit_gflops"] = json!(session.rate());
    result["limit_wall_gflops"] = json!(last.map(|limits| limits.wall_rate));
    result["limit_kernels"] = json!(last.map(|limits| &limits.kernels));
    result["floor_ms"] = json!(floor_ms);
    result["floor_ratio"] = json!(floor_ms / times.median);
    result["valid"] = json!(session.is_valid());
    Ok(())
}
