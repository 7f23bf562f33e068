//! What the rows say beside each other: ours over the limit, theirs over ours, and the targets.
//!
//! Every number is a list over the workloads, in the order of [`Workload::ALL`]; one that was not
//! measured is null, and `missing` has the reason.

mod targets;

use super::figures::Clock;
use super::plan::Plan;
use super::row::{Backend, GpuCounts, Library, Row};
use super::session::Session;
use super::workload::Workload;
use serde_json::{Value, json};
use targets::Target;

/// A number for each workload, or why there is none.
type Found = Vec<(&'static Workload, Result<f64, String>)>;

/// Everything measured, and a line for each target.
pub(super) fn of(plan: &Plan, session: &Session) -> (Value, Vec<String>) {
    let numbers = numbers(&Rows(session));
    let targets = targets::of(&numbers);
    let machine = &session.machine;
    let mut result = json!({
        "what": "Lists are over [decoder, encoder], medians by the clock; ratio_*: theirs over ours, \
            GPU interfaces (and burn's kernels) to our WebGPU engine and wasm to our CPU engine; floor_ratio: what the \
            step would take at the limit's rate over what it takes.",
        "clock": session.clock().name(),
        "workloads": Workload::ALL.map(|workload| workload.name),
    });
    for (name, found) in &numbers {
        result[*name] = list(found);
    }
    result["missing"] = missing(&numbers);
    result["targets"] = targets.iter().map(Target::json).collect();
    result["adapter"] = json!(machine.adapter);
    result["browser"] = json!(machine.browser);
    result["cores"] = json!(machine.cores);
    result["load"] = json!(machine.load);
    result["seed"] = json!(plan.seed);
    result["quick"] = json!(plan.quick);
    result["weights"] = json!(plan.precision.name());
    result["valid"] = json!(session.is_valid());
    result["limit_gflops"] = json!(session.rate());
    result["limits"] = session.limits.iter().map(limits).collect();
    result["rows"] = session
        .rows
        .iter()
        .map(|row| row.json(machine.cores))
        .collect();
    (result, targets.iter().map(Target::line).collect())
}

fn limits(limits: &super::session::Limits) -> Value {
    json!({
        "gflops": limits.rate,
        "wall_gflops": limits.wall_rate,
        "load": limits.load,
        "kernels": limits.kernels,
    })
}

/// The rows of a session, by what they are.
struct Rows<'a>(&'a Session);

impl Rows<'_> {
    fn find(&self, library: Library, backend: Backend, of: &Workload) -> Result<&Row, String> {
        let is = |row: &&Row| row.spec.is(library, backend, of);
        let (library, backend) = (library.name(), backend.name());
        let none = || format!("{library} {backend} {}: not run", of.name);
        self.0.rows.iter().find(is).ok_or_else(none)
    }

    fn ms(&self, library: Library, backend: Backend, of: &Workload) -> Result<f64, String> {
        let row = self.find(library, backend, of)?;
        Ok(row.timed(self.0.clock())?.median)
    }

    /// CPU time over the threads that a row has and not over all cores: what it could give alone.
    fn ms_by_threads(
        &self,
        library: Library,
        backend: Backend,
        of: &Workload,
    ) -> Result<f64, String> {
        let row = self.find(library, backend, of)?;
        let ms = row.timed(self.0.clock())?.median;
        let Clock::Cpu { cores } = self.0.clock() else {
            return Ok(ms);
        };
        let threads = row.comparable()?.threads.map_or(1.0, f64::from);
        Ok(ms * cores / threads.clamp(1.0, cores))
    }

    fn floor_ratio(&self, of: &Workload) -> Result<f64, String> {
        let ms = self.ms(Library::Choir, Backend::Webgpu, of)?;
        Ok(of.step_gflop / self.0.rate() * 1000.0 / ms)
    }

    fn ratio(&self, library: Library, backend: Backend, of: &Workload) -> Result<f64, String> {
        let ours = if backend.is_gpu() {
            Backend::Webgpu
        } else {
            Backend::Cpu
        };
        Ok(self.ms(library, backend, of)? / self.ms(Library::Choir, ours, of)?)
    }

    fn ratio_by_threads(&self, library: Library, of: &Workload) -> Result<f64, String> {
        let theirs = self.ms_by_threads(library, Backend::Wasm, of)?;
        Ok(theirs / self.ms_by_threads(Library::Choir, Backend::Cpu, of)?)
    }

    fn counts(&self, library: Library, of: &Workload) -> Result<GpuCounts, String> {
        let row = self.find(library, Backend::Webgpu, of)?;
        let none = || format!("{}: its WebGPU was not counted", row.spec.id());
        row.comparable()?.gpu.ok_or_else(none)
    }

    /// The least that another library's WebGPU held, over ours.
    fn peak_ratio(&self, of: &Workload) -> Result<f64, String> {
        let theirs = [Library::JaxJs, Library::Tfjs].map(|library| self.counts(library, of));
        let ours = self.counts(Library::Choir, of)?.peak_bytes;
        let [one, other] = theirs.map(|counts| counts.map(|counts| counts.peak_bytes));
        match (one, other) {
            (Ok(one), Ok(other)) => Ok(ours / one.min(other)),
            // One alone could be the worse of them.
            (Err(reason), _) | (_, Err(reason)) => Err(reason),
        }
    }

    fn first_step(&self, of: &Workload) -> Result<f64, String> {
        let row = self.find(Library::Choir, Backend::Webgpu, of)?;
        row.first(self.0.clock())
    }
}

fn numbers(rows: &Rows<'_>) -> Vec<(&'static str, Found)> {
    use Backend::{Burn, Wasm, Webgl, Webgpu};
    use Library::{Choir, JaxJs, OrtWeb, Tfjs};
    let over = |number: &dyn Fn(&Workload) -> Result<f64, String>| -> Found {
        let all = Workload::ALL.into_iter();
        all.map(|workload| (workload, number(workload))).collect()
    };
    let counted = |count: fn(GpuCounts) -> f64| over(&|of| rows.counts(Choir, of).map(count));
    vec![
        ("floor_ratio", over(&|of| rows.floor_ratio(of))),
        ("ratio_tfjs_webgl", over(&|of| rows.ratio(Tfjs, Webgl, of))),
        (
            "ratio_jaxjs_webgpu",
            over(&|of| rows.ratio(JaxJs, Webgpu, of)),
        ),
        (
            "ratio_tfjs_webgpu",
            over(&|of| rows.ratio(Tfjs, Webgpu, of)),
        ),
        ("ratio_burn", over(&|of| rows.ratio(Choir, Burn, of))),
        ("ratio_cpu_jaxjs", over(&|of| rows.ratio(JaxJs, Wasm, of))),
        ("ratio_cpu_ort", over(&|of| rows.ratio(OrtWeb, Wasm, of))),
        (
            "ratio_cpu_jaxjs_by_threads",
            over(&|of| rows.ratio_by_threads(JaxJs, of)),
        ),
        (
            "ratio_cpu_ort_by_threads",
            over(&|of| rows.ratio_by_threads(OrtWeb, of)),
        ),
        ("dispatches_per_step", counted(|counts| counts.dispatches)),
        ("submits_per_step", counted(|counts| counts.submits)),
        ("peak_gpu_bytes", counted(|counts| counts.peak_bytes)),
        ("peak_over_best_rival", over(&|of| rows.peak_ratio(of))),
        ("first_step_ms", over(&|of| rows.first_step(of))),
    ]
}

fn list(found: &Found) -> Value {
    found
        .iter()
        .map(|(_, number)| json!(number.as_ref().ok()))
        .collect()
}

fn missing(numbers: &[(&'static str, Found)]) -> Value {
    let mut reasons = Vec::new();
    for (name, found) in numbers {
        for (workload, number) in found {
            if let Err(reason) = number {
                let workload = workload.name;
                reasons.push(json!({ "name": name, "workload": workload, "reason": reason }));
            }
        }
    }
    Value::Array(reasons)
}

#[cfg(test)]
mod tests;
