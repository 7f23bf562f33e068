//! The edge aggregator as a local process: the built worker on workerd.

use crate::failure::{AtPath, Failure, Outcome};
use crate::operator::Operator;
use crate::paths::Paths;
use crate::{processes, program};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running aggregator; it ends when this is dropped.
pub(crate) struct Aggregator {
    process: Child,
    /// Speaks to it.
    pub(crate) operator: Operator,
    /// The second aggregator of its tasks, which ends with it.
    pub(crate) helper: Option<Box<Self>>,
}

/// How to start it.
pub(crate) struct Settings<'a> {
    /// The port, or any free one.
    pub(crate) port: Option<u16>,
    /// Where it keeps its state.
    pub(crate) state: &'a Path,
    /// The page that it serves, if it serves one.
    pub(crate) site: Option<&'a Path>,
    /// Pages of other origins that may call it, separated by commas.
    pub(crate) origins: &'a str,
    /// What else the worker's environment holds.
    pub(crate) variables: &'a [(&'static str, String)],
}

impl Aggregator {
    /// Kills it as a power cut would, and starts it again on the same port and state.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(crate) fn restart(self, paths: &Paths, state: &Path, site: &Path) -> Outcome<Self> {
        let port = self.operator.port();
        let runtime = processes::children(self.process.id());
        let mut process = self;
        // The runtime is a process of its own: both must be gone before the port is free.
        drop(process.process.kill());
        for child in runtime {
            drop(
                Command::new("kill")
                    .args(["-9", &child.to_string()])
                    .status(),
            );
        }
        drop(process);
        Self::start(
            paths,
            &Settings {
                port,
                state,
                site: Some(site),
                origins: "",
                variables: &[],
            },
        )
    }

    /// CPU time of workerd so far in seconds, where there is a /proc: of all that the development
    /// server has started.
    pub(crate) fn runtime_cpu_seconds(&self) -> Option<f64> {
        let runtime = processes::children(self.process.id());
        let seconds: Vec<f64> = runtime
            .into_iter()
            .filter_map(processes::cpu_seconds)
            .collect();
        (!seconds.is_empty()).then(|| seconds.iter().sum())
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// `Program` with its log where it does not.
    pub(crate) fn start(paths: &Paths, settings: &Settings<'_>) -> Outcome<Self> {
        fs::create_dir_all(settings.state).at(settings.state)?;
        let secret = secret()?;
        let log = settings.state.join("aggregator.log");
        let mut append = File::options();
        // One that is started again goes on with the log.
        let log_file = append.create(true).append(true).open(&log).at(&log)?;
        let mut command = Command::new("node");
        command
            .current_dir(paths.root.join("edge-aggregator"))
            .arg("dev/serve.mjs")
            .args(["--port", &settings.port.unwrap_or(0).to_string()])
            .arg("--persist")
            .arg(settings.state)
            .arg("--worker")
            .arg(paths.worker())
            .args(["--allowed-origins", settings.origins])
            .env("OPERATOR_SECRET", &secret)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file);
        if let Some(site) = settings.site {
            command.arg("--site").arg(site);
        }
        for (name, value) in settings.variables {
            command.env(name, value);
        }
        let mut process = command
            .spawn()
            .map_err(|error| program::cannot_start("node", &error))?;
        let Some(url) = ready_url(&mut process) else {
            let status = process
                .wait()
                .map_or_else(|e| e.to_string(), |status| status.to_string());
            let output = fs::read_to_string(&log).unwrap_or_default();
            return Err(Failure::Program {
                program: "node dev/serve.mjs".into(),
                status,
                output,
            });
        };
        Ok(Self {
            process,
            operator: Operator::new(&url, &secret),
            helper: None,
        })
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Aggregator {
    fn drop(&mut self) {
        end_gently(&mut self.process);
    }
}

/// Asks a process to end, which lets it end its own children, and kills it where it does not.
pub(crate) fn end_gently(process: &mut Child) {
    let asked = Command::new("kill").arg(process.id().to_string()).status();
    for _ in 0..PATIENCE_TICKS {
        if asked.is_err() || !matches!(process.try_wait(), Ok(None)) {
            break;
        }
        std::thread::sleep(TICK);
    }
    // Both fail only where the process is gone already.
    drop(process.kill());
    drop(process.wait());
}

fn ready_url(process: &mut Child) -> Option<String> {
    let mut line = String::new();
    BufReader::new(process.stdout.as_mut()?)
        .read_line(&mut line)
        .ok()?;
    let ready: serde_json::Value = serde_json::from_str(&line).ok()?;
    Some(ready.get("ready")?.as_str()?.to_owned())
}

fn secret() -> Outcome<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::Data(format!("this system gives no random bytes: {error}")))?;
    Ok(crate::stamp::hex(&bytes))
}

const PATIENCE_TICKS: u32 = 60;
const TICK: std::time::Duration = std::time::Duration::from_millis(50);
