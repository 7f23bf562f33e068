//! Native clients: the program `choir-client`, its events in.

use crate::build::{Profile, Tool};
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::{processes, program};
use serde::Deserialize;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// An event, and whose it is.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Told {
    /// The client's place in the plan.
    pub(crate) client: usize,
    /// What happened.
    #[serde(flatten)]
    pub(crate) event: ClientEvent,
}

/// What a native client reports.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum ClientEvent {
    /// Its update is ready.
    Trained {
        /// Of the last step's batch; none where nothing was trained.
        loss: Option<f64>,
    },
    /// The plain words of its update, in an observe build.
    Plain {
        /// The round, in hex.
        round: String,
        /// Little-endian words.
        file: PathBuf,
    },
    /// JOIN is sent.
    Joining {},
    /// It has entered a phase.
    Phase {
        /// The phase.
        phase: String,
        /// Since JOIN.
        milliseconds: u64,
    },
    /// Its masked update was taken.
    Uploaded {},
    /// Its socket broke, or is there again.
    Connection {},
    /// The update is in the published sum.
    Finished {
        /// Payload to the aggregator.
        bytes_up: u64,
        /// Payload from the aggregator.
        bytes_down: u64,
        /// Since JOIN.
        milliseconds: u64,
    },
    /// It left the round.
    Left {
        /// Why.
        reason: String,
    },
    /// It was lost as planned.
    Lost {
        /// The planned point, where there was one.
        at: Option<String>,
        /// The phase that it was in.
        phase: String,
    },
    /// Nothing more will come of it.
    Ended {
        /// Why.
        reason: String,
        /// Whether that is an error.
        failed: bool,
    },
}

/// A running process of clients; it ends when this is dropped.
pub(crate) struct Natives {
    process: Child,
    events: Receiver<Result<Told, String>>,
}

/// Builds the program that shows plain updates to a test.
///
/// # Errors
/// `Program` where it does not compile.
pub(crate) fn build_observed(paths: &Paths) -> Outcome<PathBuf> {
    OBSERVED.build(paths)
}

/// Builds the program as it is measured.
///
/// # Errors
/// `Program` where it does not compile.
pub(crate) fn build_measured(paths: &Paths) -> Outcome<PathBuf> {
    MEASURED.build(paths)
}

impl Natives {
    /// Starts the clients of a plan; the plan and the log go to `folder`.
    ///
    /// # Errors
    /// `File` where the plan cannot be written, `Missing` where the program cannot be started.
    pub(crate) fn start(program: &Path, plan: &Value, folder: &Path) -> Outcome<Self> {
        let file = folder.join("natives.json");
        fs::write(&file, plan.to_string()).at(&file)?;
        let log = folder.join("natives.log");
        let mut process = Command::new(program)
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).at(&log)?)
            .spawn()
            .map_err(|error| program::cannot_start(OBSERVED.name, &error))?;
        let (sender, events) = channel();
        if let Some(stdout) = process.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    let told =
                        serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"));
                    if sender.send(told).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { process, events })
    }

    /// The next event, or none within that time.
    ///
    /// # Errors
    /// `Check` for a line that is no event.
    pub(crate) fn next(&self, within: Duration) -> Outcome<Next> {
        match self.events.recv_timeout(within) {
            Ok(Ok(told)) => Ok(Next::Told(told)),
            Ok(Err(line)) => Err(Failure::Check(format!("a native client said {line}"))),
            Err(RecvTimeoutError::Timeout) => Ok(Next::Nothing),
            Err(RecvTimeoutError::Disconnected) => Ok(Next::Over),
        }
    }

    /// CPU time of the process so far, where there is a /proc. Once [`Next::Over`] was told it is
    /// the whole.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        processes::cpu_seconds(self.process.id())
    }
}

/// What comes of waiting for an event.
pub(crate) enum Next {
    /// An event.
    Told(Told),
    /// Nothing within the time.
    Nothing,
    /// The process has said all that it will.
    Over,
}

impl Drop for Natives {
    fn drop(&mut self) {
        // Both fail only where the process is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

const OBSERVED: Tool = Tool {
    title: "native clients that can be observed",
    feature: "client,observe",
    name: "choir-client",
    profile: Profile::Shared,
};

const MEASURED: Tool = Tool {
    title: "native clients",
    feature: "client",
    name: "choir-client",
    profile: Profile::Release,
};
