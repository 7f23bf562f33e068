//! One row: a library on a backend, training a workload.

use super::figures::{Clock, Spread};
use super::workload::Workload;
use serde::Deserialize;
use serde_json::{Value, json};

/// What trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Library {
    Choir,
    JaxJs,
    Tfjs,
    OrtWeb,
}

impl Library {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Choir => "choir",
            Self::JaxJs => "jax-js",
            Self::Tfjs => "tfjs",
            Self::OrtWeb => "onnxruntime-web",
        }
    }
}

/// What it computes on. Ours on the CPU is wasm as well, in one thread or jointly in two; burn is our
/// model on WebGPU, by other kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    Webgpu,
    Webgl,
    Wasm,
    Cpu,
    CpuJoint,
    Burn,
}

impl Backend {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Webgpu => "webgpu",
            Self::Webgl => "webgl",
            Self::Wasm => "wasm",
            Self::Cpu => "cpu",
            Self::CpuJoint => "cpu in two threads",
            Self::Burn => "burn",
        }
    }

    /// Its name in the page, which tells what it computes on.
    pub(super) const fn surface(self) -> &'static str {
        match self {
            Self::Burn => Self::Webgpu.name(),
            Self::CpuJoint => Self::Cpu.name(),
            other => other.name(),
        }
    }

    pub(super) const fn is_gpu(self) -> bool {
        matches!(self, Self::Webgpu | Self::Webgl | Self::Burn)
    }
}

/// What a row is before it is measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spec {
    pub(super) library: Library,
    pub(super) backend: Backend,
    pub(super) workload: &'static Workload,
    pub(super) warm: usize,
    pub(super) timed: usize,
}

impl Spec {
    /// Its name in the progress, the results and for `--only`.
    pub(super) fn id(&self) -> String {
        format!(
            "{} {} {}",
            self.library.name(),
            self.backend.name(),
            self.workload.name
        )
    }

    pub(super) const fn steps(&self) -> usize {
        self.warm + self.timed
    }

    pub(super) fn is(&self, library: Library, backend: Backend, workload: &Workload) -> bool {
        self.library == library && self.backend == backend && self.workload == workload
    }
}

/// What a page hands back.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Measured {
    pub(super) init_ms: f64,
    pub(super) threads: Option<u32>,
    pub(super) isolated: bool,
    /// A loss that is no number is none.
    pub(super) losses: Vec<Option<f64>>,
    pub(super) walls: Vec<f64>,
    pub(super) cpus: Vec<Option<f64>>,
    /// By a hook on the page's WebGPU, per timed step.
    pub(super) gpu: Option<GpuCounts>,
    /// By the library itself, of its last step.
    pub(super) own: Option<OwnCounts>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct GpuCounts {
    pub(super) dispatches: f64,
    pub(super) submits: f64,
    pub(super) peak_bytes: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OwnCounts {
    pub(super) dispatches: u32,
    pub(super) submits: u32,
    pub(super) readbacks: u32,
    pub(super) peak_bytes: u64,
    /// Kernels that were made before the first step.
    pub(super) kernels: u32,
    /// From asking for the device to the last of them.
    pub(super) prepared_ms: f64,
}

impl Measured {
    /// Every step by the CPU clock, over so many cores; nothing where there is no /proc.
    fn cpu_ms(&self, cores: f64) -> Option<Vec<f64>> {
        let over = |ms: &Option<f64>| ms.map(|ms| ms / cores);
        self.cpus.iter().map(over).collect()
    }

    /// Every step by the session's clock.
    fn clock_ms(&self, clock: Clock) -> Vec<f64> {
        match clock {
            Clock::Cpu { cores } => self.cpu_ms(cores).unwrap_or_default(),
            Clock::Wall => self.walls.clone(),
        }
    }
}

/// How a row ended.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    /// With the reference's losses, which it differs from by so much at most.
    Agrees(Measured, f64),
    /// With other losses: why.
    Mismatch(Measured, String),
    /// Without a measurement: why.
    Failed(String),
}

/// A row and how it ended.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) spec: Spec,
    pub(super) version: String,
    pub(super) adapter: Option<String>,
    /// Of the machine when it ended.
    pub(super) load: f64,
    pub(super) ended: Ended,
}

impl Row {
    /// What it measured, where it may be compared.
    ///
    /// # Errors
    /// The row by name, and why not.
    pub(super) fn comparable(&self) -> Result<&Measured, String> {
        match &self.ended {
            Ended::Agrees(measured, _) => Ok(measured),
            Ended::Mismatch(_, reason) => Err(format!("{}: mismatch: {reason}", self.spec.id())),
            Ended::Failed(reason) => Err(format!("{}: {reason}", self.spec.id())),
        }
    }

    /// Its timed steps.
    ///
    /// # Errors
    /// As [`Self::comparable`].
    pub(super) fn timed(&self, clock: Clock) -> Result<Spread, String> {
        let steps = self.comparable()?.clock_ms(clock);
        Spread::of(steps.get(self.spec.warm..).unwrap_or_default())
            .ok_or_else(|| format!("{}: no step was timed", self.spec.id()))
    }

    /// Its first step.
    ///
    /// # Errors
    /// As [`Self::comparable`].
    pub(super) fn first(&self, clock: Clock) -> Result<f64, String> {
        let steps = self.comparable()?.clock_ms(clock);
        let none = || format!("{}: no step was taken", self.spec.id());
        steps.first().copied().ok_or_else(none)
    }

    /// Everything about it; CPU times are over `cores`.
    pub(super) fn json(&self, cores: f64) -> Value {
        let spec = &self.spec;
        let mut row = json!({
            "id": spec.id(),
            "name": spec.library.name(),
            "version": self.version,
            "workload": spec.workload.name,
            "backend": spec.backend.name(),
            "adapter": self.adapter,
            "load": self.load,
            "warm_up_steps": spec.warm,
            "repetitions": spec.timed,
        });
        let (outcome, reason, difference, measured) = match &self.ended {
            Ended::Agrees(measured, most) => ("agrees", None, Some(*most), Some(measured)),
            Ended::Mismatch(measured, reason) => ("mismatch", Some(reason), None, Some(measured)),
            Ended::Failed(reason) => ("failed", Some(reason), None, None),
        };
        row["outcome"] = json!(outcome);
        row["reason"] = json!(reason);
        row["max_loss_difference"] = json!(difference);
        if let Some(measured) = measured {
            self.add_measured(&mut row, measured, cores);
        }
        row
    }

    fn add_measured(&self, row: &mut Value, measured: &Measured, cores: f64) {
        let by = |steps: Option<Vec<f64>>| {
            let steps = steps?;
            let mut clock = Spread::of(steps.get(self.spec.warm..)?)?.json();
            clock["first"] = json!(steps.first());
            Some(clock)
        };
        row["threads"] = json!(measured.threads);
        row["cross_origin_isolated"] = json!(measured.isolated);
        row["init_wall_ms"] = json!(measured.init_ms);
        row["losses"] = json!(measured.losses);
        row["losses_checked"] = json!(measured.losses.len().min(self.spec.workload.losses.len()));
        row["wall_ms"] = json!(by(Some(measured.walls.clone())));
        row["cpu_ms"] = json!(by(measured.cpu_ms(cores)));
        // Of WebGL the hook sees nothing.
        let gpu = measured
            .gpu
            .filter(|_| self.spec.backend.surface() == Backend::Webgpu.name());
        row["dispatches_per_step"] = json!(gpu.map(|gpu| gpu.dispatches));
        row["submits_per_step"] = json!(gpu.map(|gpu| gpu.submits));
        row["peak_gpu_bytes"] = json!(gpu.map(|gpu| gpu.peak_bytes));
        if let Some(own) = measured.own.filter(|_| gpu.is_some()) {
            row["own_counts_of_last_step"] = json!({
                "dispatches": own.dispatches,
                "readbacks": own.readbacks,
                "kernels": own.kernels,
                "prepared_ms": own.prepared_ms,
                "submits": own.submits,
                "peak_bytes": own.peak_bytes,
            });
        }
    }
}
