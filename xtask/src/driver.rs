//! The tabs: real Chromium through `e2e/drive.mjs`, its events in and commands to it out.

use crate::aggregator::end_gently;
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::{program, setup};
use choir_shared::ids::PublicKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// What the driver reports.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum DriverEvent {
    /// The page has WebGPU, on this adapter.
    Adapter {
        /// Its number.
        tab: usize,
        /// The adapter's name.
        adapter: String,
    },
    /// The tab has its share and has started.
    OptedIn {
        /// Its number.
        tab: usize,
    },
    /// All tabs are open.
    Open,
    /// Something that the page's own session said.
    Page {
        /// Its number.
        tab: usize,
        /// The event.
        page: Value,
    },
    /// The plain words of a tab's update, in an observe build.
    Plain {
        /// Its number.
        tab: usize,
        /// The round, in hex.
        round: String,
        /// Little-endian words.
        file: PathBuf,
    },
    /// A tab was closed at the point where it was to be.
    Closed {
        /// Its number.
        tab: usize,
        /// The point of the round.
        at: String,
    },
    /// A tab's upload has come and is kept back.
    Held {
        /// Its number.
        tab: usize,
    },
    /// What the editor of a tab's page suggests.
    Suggestion(Suggestion),
    /// An error that the page logged.
    Console {
        /// Its number.
        tab: usize,
        /// What it says.
        text: String,
    },
    /// The driver cannot go on.
    Failed {
        /// Why.
        message: String,
    },
}

/// How a text goes on, as a page's editor shows it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Suggestion {
    /// What is shown behind the caret.
    pub(crate) text: String,
    /// How fast it was made, where it has more than one token.
    pub(crate) tokens_per_second: Option<f64>,
    /// By what: `base`, `global` or `own`.
    pub(crate) adapter: String,
    /// Of the global adapter.
    pub(crate) version: u32,
    /// The same text by each adapter that the tab has.
    pub(crate) compared: Vec<Compared>,
}

/// A suggestion by one adapter.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Compared {
    /// The adapter, as the page calls it.
    pub(crate) name: String,
    /// How the text goes on.
    pub(crate) text: String,
}

/// What to open.
pub(crate) struct Plan<'a> {
    /// The aggregator's address.
    pub(crate) url: &'a str,
    /// The task, in hex.
    pub(crate) task: String,
    /// `webgpu`, `cpu`, `burn` or `auto`.
    pub(crate) engine: &'a str,
    /// Whose conditions the page has: `demo` or `default`, the production one.
    pub(crate) policy: &'a str,
    /// One file of examples per tab.
    pub(crate) shares: &'a [PathBuf],
    /// Seed of the order in which the first tab takes its examples.
    pub(crate) seed: u64,
    /// Where files of the run go.
    pub(crate) out: &'a Path,
    /// Whether to write down every byte that leaves a tab.
    pub(crate) record: bool,
    /// The helper that the page is to name, if it is to name one.
    pub(crate) helper: Option<PublicKey>,
}

/// The running driver; the browser ends when this is dropped.
pub(crate) struct Driver {
    process: Child,
    commands: Option<ChildStdin>,
    events: Receiver<DriverEvent>,
}

impl Driver {
    /// Starts the browser and its tabs.
    ///
    /// # Errors
    /// `Missing` without a browser, `File` where the plan cannot be written.
    pub(crate) fn start(paths: &Paths, plan: &Plan<'_>) -> Outcome<Self> {
        let chrome = setup::find_chromium(paths).ok_or_else(|| Failure::Missing {
            what: "Chromium".to_owned(),
            remedy: "Run `cargo xtask setup`.".to_owned(),
        })?;
        let file = plan.out.join("plan.json");
        let tabs: Vec<Value> = plan
            .shares
            .iter()
            .enumerate()
            .map(|(tab, share)| json!({ "share": share, "seed": plan.seed + tab as u64 }))
            .collect();
        let mut content = json!({
            "url": plan.url,
            "task": plan.task,
            "engine": plan.engine,
            "policy": plan.policy,
            "tabs": tabs,
            "out": plan.out,
        });
        if let Some(helper) = plan.helper {
            content["helper"] = json!(helper.to_string());
        }
        if plan.record {
            content["record"] = json!(plan.out);
        }
        fs::write(&file, content.to_string()).at(&file)?;
        let log = plan.out.join("driver.log");
        let mut process = Command::new("node")
            .current_dir(paths.root.join("e2e"))
            .arg("drive.mjs")
            .arg(&file)
            .env("CHROME", chrome)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).at(&log)?)
            .spawn()
            .map_err(|error| program::cannot_start("node", &error))?;
        let (sender, events) = channel();
        if let Some(stdout) = process.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    let event =
                        serde_json::from_str(&line).unwrap_or_else(|error| DriverEvent::Failed {
                            message: format!("{error}: {line}"),
                        });
                    if sender.send(event).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self {
            commands: process.stdin.take(),
            process,
            events,
        })
    }

    /// The next event, or none within that time.
    ///
    /// # Errors
    /// `Check` where the driver failed or ended.
    pub(crate) fn next(&self, within: Duration) -> Outcome<Option<DriverEvent>> {
        match self.events.recv_timeout(within) {
            Ok(DriverEvent::Failed { message }) => Err(Failure::Check(message)),
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Failure::Check("the browser's driver ended".to_owned()))
            }
        }
    }

    /// Closes a tab when its round gets to that point.
    ///
    /// # Errors
    /// `Check` where the driver is gone.
    pub(crate) fn close_at(&mut self, tab: usize, point: &str) -> Outcome<()> {
        self.command(&json!({ "command": "close", "tab": tab, "at": point }))
    }

    /// Opens a fresh tab on the same share.
    ///
    /// # Errors
    /// `Check` where the driver is gone.
    pub(crate) fn open(&mut self, tab: usize) -> Outcome<()> {
        self.command(&json!({ "command": "open", "tab": tab }))
    }

    /// Keeps a tab's upload back.
    ///
    /// # Errors
    /// `Check` where the driver is gone.
    pub(crate) fn hold(&mut self, tab: usize) -> Outcome<()> {
        self.command(&json!({ "command": "hold", "tab": tab, "at": "upload" }))
    }

    /// Keeps a tab's signature over the survivors back until it is released.
    ///
    /// # Errors
    /// `Check` where the driver is gone.
    pub(crate) fn hold_signature(&mut self, tab: usize) -> Outcome<()> {
        self.command(&json!({ "command": "hold", "tab": tab, "at": "ack" }))
    }

    /// Lets go on what is kept back of a tab.
    ///
    /// # Errors
    /// `Check` where the driver is gone.
    pub(crate) fn release(&mut self, tab: usize) -> Outcome<()> {
        self.command(&json!({ "command": "release", "tab": tab }))
    }

    /// Begins a text in a tab's editor; its picture goes to `screenshot`.
    ///
    /// # Errors
    /// `Check` where the driver is gone.
    pub(crate) fn write(&mut self, tab: usize, text: &str, screenshot: &Path) -> Outcome<()> {
        self.command(&json!({
            "command": "write",
            "tab": tab,
            "text": text,
            "screenshot": screenshot,
        }))
    }

    fn command(&mut self, command: &Value) -> Outcome<()> {
        let sent = self
            .commands
            .as_mut()
            .map(|stdin| writeln!(stdin, "{command}"));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(Failure::Check(
                "the browser's driver takes no commands".to_owned(),
            )),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The end of its input tells the driver to close the browser.
        self.commands = None;
        for _ in 0..PATIENCE_TICKS {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(TICK);
        }
        end_gently(&mut self.process);
    }
}

const PATIENCE_TICKS: u32 = 120;
const TICK: Duration = Duration::from_millis(50);
