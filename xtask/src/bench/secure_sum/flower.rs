//! flwr's SecAgg+ from PyPI, in a Python environment of its own, by its own functions
//! (`xtask/bench/flower.py`).

use super::row::Row;
use super::{Spread, spread};
use crate::bench::python::Environment;
use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// Its server takes half a minute and more, so once; each of its clients is a repetition.
const REPETITIONS: u32 = 1;
const PYTHON: Environment = Environment {
    folder: "flower/venv",
    package: "flwr==1.42.0",
    // What its secure aggregation needs of its requirements, in the versions that it asks for. The
    // rest is for its servers.
    needed: &[
        "numpy>=1.26,<3",
        "grpcio>=1.70,<2",
        "grpcio-health-checking>=1.70,<2",
        "protobuf>=5.28,<7",
        "cryptography>=50,<51",
        "pycryptodome>=3.18,<4",
        "iterators>=0.0.2,<0.0.3",
        "typer>=0.13,<0.21",
        "tomli>=2.0.1,<3",
        "tomli-w>=1,<2",
        "pathspec>=1.0.4,<2",
        "rich>=14,<15",
        "pyyaml>=6.0.2,<7",
        "requests>=2.33,<3",
        "httpx>=0.28.1,<1",
        "packaging>=24,<26",
    ],
    probe: "import importlib.metadata as m; print('flwr==' + m.version('flwr')); import httpx, yaml",
};

/// An environment that has it.
pub(super) struct Flower {
    python: PathBuf,
}

/// What it needs for one aggregation.
pub(super) struct FlowerCost {
    pub(super) server: Spread,
    pub(super) client: Spread,
    /// Of its mask generator, for each coordinate.
    pub(super) generator_ns: f64,
    /// All that the script says but every repetition of every client.
    pub(super) details: Value,
}

impl Flower {
    /// Makes the environment, once.
    ///
    /// # Errors
    /// `Program` where Python or pip fails.
    pub(super) fn install(paths: &Paths) -> Outcome<Self> {
        let python = PYTHON.ensure(paths)?;
        Ok(Self { python })
    }

    /// One aggregation of the row's size, with as many shares as our clients have masks.
    ///
    /// # Errors
    /// `Program` where the script fails.
    pub(super) fn measure(&self, paths: &Paths, row: &Row) -> Outcome<FlowerCost> {
        let size = &row.size;
        let step = Step::start(format!("flwr, {}", size.title()));
        let mut script = Command::new(&self.python);
        script.arg(paths.root.join("xtask/bench/flower.py"));
        let coordinates = u32::from(size.thousands) * 1000;
        // An odd number, as it wants it.
        let shares = u32::from(size.masks()) | 1;
        for number in [
            u32::from(size.clients),
            coordinates,
            u32::from(size.permille),
            shares,
            REPETITIONS,
        ] {
            script.arg(number.to_string());
        }
        let printed = program::run(&step, &mut script)?;
        let line = printed.lines().last().unwrap_or_default();
        let mut details: Value =
            serde_json::from_str(line).map_err(|error| Failure::Data(error.to_string()))?;
        step.done("");
        let (server, client) = (
            spread(&details["server_ms"])?,
            spread(&details["client_ms"])?,
        );
        details["server_ms"] = server.json();
        details["client_ms"] = client.json();
        let generator = details["generator_ns_per_coordinate"].as_f64();
        Ok(FlowerCost {
            server,
            client,
            generator_ns: generator.unwrap_or_default(),
            details,
        })
    }
}
