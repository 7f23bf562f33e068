//! Which rows are run, with how many steps, in what order, and where their scripts lie.

use super::decoder_task;
use super::options::Options;
use super::rivals::Rivals;
use super::row::{Backend, Library, Spec};
use super::workload::{DECODER, ENCODER, Precision, Workload};
use crate::build;
use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use choir_shared::task::workload;
use choir_shared::wire;
use serde_json::{Value, json};

/// A row that takes longer than this hangs.
const ROW_LIMIT_MS: u32 = 30 * 60 * 1000;

/// Its module is no part of a build.
const BUILDS_BURN: &str =
    "`cargo xtask demo --engine burn --tabs 1` builds it, in many minutes the first time";

/// Every row there is, for each workload; burn only for the decoder.
const ROWS: [(Library, Backend); 10] = [
    (Library::Choir, Backend::Webgpu),
    (Library::Choir, Backend::Cpu),
    (Library::Choir, Backend::CpuJoint),
    (Library::Choir, Backend::Burn),
    (Library::JaxJs, Backend::Wasm),
    (Library::JaxJs, Backend::Webgpu),
    (Library::Tfjs, Backend::Webgl),
    (Library::Tfjs, Backend::Wasm),
    (Library::Tfjs, Backend::Webgpu),
    (Library::OrtWeb, Backend::Wasm),
];

/// The rows of a session in their order.
pub(super) struct Plan {
    pub(super) jobs: Vec<Job>,
    pub(super) seed: u64,
    pub(super) quick: bool,
    pub(super) precision: Precision,
    /// Folders to serve by name.
    folders: Value,
}

/// A row to be run, or why it cannot be.
pub(super) struct Job {
    pub(super) spec: Spec,
    pub(super) version: String,
    /// The script in the page and what it is opened with.
    pub(super) script: Result<(String, Value), String>,
}

impl Plan {
    /// Installs the libraries that its rows need.
    ///
    /// # Errors
    /// `Usage` where no row is left; a library that cannot be installed is a result.
    pub(super) fn make(paths: &Paths, options: &Options) -> Outcome<Self> {
        let seed = options.seed.map_or_else(random, Ok)?;
        let mut specs = specs(options);
        if specs.is_empty() {
            return Err(Failure::Usage(format!("--only leaves none of {}", names())));
        }
        shuffle(&mut specs, seed);
        let rivals = Rivals::install(paths, &specs);
        let mut folders = rivals.folders();
        folders["wasm"] = json!(paths.out.join("wasm"));
        folders["joint"] = json!(paths.out.join("joint"));
        let job = |spec: Spec| Job {
            version: rivals.version(spec.library),
            script: script(paths, &rivals, &spec, options.precision),
            spec,
        };
        Ok(Self {
            jobs: specs.into_iter().map(job).collect(),
            seed,
            quick: options.quick,
            precision: options.precision,
            folders,
        })
    }

    /// What the session's programme is given.
    pub(super) fn json(&self) -> Value {
        let row = |job: &Job| {
            let (script, options) = job.script.as_ref().ok()?;
            let spec = &job.spec;
            Some(json!({
                "id": spec.id(),
                "script": script,
                "backend": spec.backend.surface(),
                "options": options,
                "warm": spec.warm,
                "timed": spec.timed,
            }))
        };
        json!({
            "folders": self.folders,
            "limits": self.jobs.iter().any(|job| job.spec.backend.is_gpu()),
            "row_limit_ms": ROW_LIMIT_MS,
            "rows": self.jobs.iter().filter_map(row).collect::<Vec<_>>(),
        })
    }
}

fn names() -> String {
    let names = ROWS.map(|(library, backend)| format!("{} {}", library.name(), backend.name()));
    names.join(", ")
}

fn specs(options: &Options) -> Vec<Spec> {
    let mut specs = Vec::new();
    for workload in options.workloads() {
        for (library, backend) in ROWS {
            let (warm, timed) = steps(library, backend, workload, options.quick);
            let spec = Spec {
                library,
                backend,
                workload,
                warm,
                timed,
            };
            let is_burn = backend == Backend::Burn;
            let asked = options.peers || (library == Library::Choir && !is_burn);
            let asked = asked && (!is_burn || *workload == DECODER);
            let named = options
                .only
                .as_ref()
                .is_none_or(|part| spec.id().contains(part));
            if asked && named {
                specs.push(spec);
            }
        }
    }
    specs
}

/// Steps to warm up and steps to time: fewer for what takes minutes.
fn steps(library: Library, backend: Backend, workload: &Workload, quick: bool) -> (usize, usize) {
    if backend == Backend::Burn {
        return (1, 2);
    }
    let slow = library != Library::Choir && backend.is_gpu();
    let slowest = library == Library::Tfjs && backend == Backend::Webgpu;
    match (slowest, slow, quick) {
        (true, _, true) => (1, 1),
        (true, _, false) => (1, if *workload == ENCODER { 2 } else { 3 }),
        (_, true, true) => (1, 3),
        (_, true, false) => (2, 9),
        (_, _, true) => (2, 5),
        (_, _, false) => (5, 20),
    }
}

fn script(
    paths: &Paths,
    rivals: &Rivals,
    spec: &Spec,
    precision: Precision,
) -> Result<(String, Value), String> {
    if spec.library != Library::Choir {
        return rivals.script(spec);
    }
    let module = match spec.backend {
        Backend::Cpu | Backend::CpuJoint => build::CPU.name,
        Backend::Burn if !paths.wasm(build::BURN.name).exists() => {
            return Err(format!("its module is not built: {BUILDS_BURN}"));
        }
        Backend::Burn => build::BURN.name,
        Backend::Webgpu | Backend::Webgl | Backend::Wasm => build::WGSL.name,
    };
    let name = spec.workload.name;
    let mut options = own_options(name, module, precision.name());
    if spec.backend != Backend::CpuJoint {
        return Ok((format!("/bench/{name}.js"), options));
    }
    options["threads"] = json!(2);
    if *spec.workload == ENCODER {
        return Ok((format!("/bench/{name}.js"), options));
    }
    options["config"] = json!(wire::encode(&decoder_task::decoder()));
    Ok(("/bench/language_decoder.js".to_owned(), options))
}

/// What the script of a workload is opened with on a module of ours.
pub(in crate::bench) fn own_options(workload: &str, module: &str, precision: &str) -> Value {
    let config = (workload == ENCODER.name).then(|| wire::encode(&workload::encoder()));
    json!({
        "module": format!("/wasm/{module}/choir_wasm_client.js"),
        "config": config,
        "precision": precision,
    })
}

fn random() -> Outcome<u64> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| Failure::Data(error.to_string()))?;
    // Short enough to type, and exact in every JSON reader.
    Ok(u64::from(u32::from_le_bytes(bytes)))
}

/// By Fisher and Yates, on the generator SplitMix64.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for last in (1..items.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        items.swap(last, (word % (last as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_order_of_all_rows() {
        let order = |seed| {
            let mut items: Vec<u32> = (0..16).collect();
            shuffle(&mut items, seed);
            items
        };
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
        let mut sorted = order(7);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..16).collect::<Vec<_>>());
    }

    #[test]
    fn without_peers_only_our_rows_are_run() {
        let specs = specs(&Options::default());
        assert_eq!(specs.len(), 6);
        assert!(specs.iter().all(|spec| spec.library == Library::Choir));
    }

    #[test]
    fn burn_trains_the_decoder_alone() {
        let options = Options {
            peers: true,
            ..Options::default()
        };
        let specs = specs(&options);
        let mut on_burn = specs.iter().filter(|spec| spec.backend == Backend::Burn);
        assert!(on_burn.next().is_some_and(|spec| *spec.workload == DECODER));
        assert_eq!(on_burn.next(), None);
    }

    #[test]
    fn every_step_that_has_a_reference_is_taken_but_where_a_step_takes_minutes() {
        let options = Options {
            peers: true,
            ..Options::default()
        };
        for spec in specs(&options) {
            let slowest = spec.library == Library::Tfjs && spec.backend == Backend::Webgpu;
            let least = if slowest || spec.backend == Backend::Burn {
                3
            } else {
                spec.workload.losses.len()
            };
            assert!(spec.steps() >= least, "{}", spec.id());
        }
    }
}
