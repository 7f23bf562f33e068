//! One line per step: what is being done, for how long, and a tick at the end.
//!
//! On a terminal the line moves while the step runs; elsewhere a step prints one line when it
//! ends, and a sign of life every half minute.

use std::io::{IsTerminal, Write, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A step that is under way.
pub(crate) struct Step {
    label: String,
    start: Instant,
    detail: Arc<Mutex<String>>,
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Step {
    /// Starts a step.
    pub(crate) fn start(label: impl Into<String>) -> Self {
        let label = label.into();
        let start = Instant::now();
        let detail = Arc::new(Mutex::new(String::new()));
        let (stop, stopped) = channel();
        let shown = Ticker {
            label: label.clone(),
            start,
            detail: Arc::clone(&detail),
        };
        let thread = std::thread::spawn(move || {
            let terminal = stderr().is_terminal();
            let pause = if terminal { FRAME } else { SIGN_OF_LIFE };
            let mut frame = 0;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                shown.draw(terminal, frame);
                frame += 1;
            }
        });
        Self {
            label,
            start,
            detail,
            ticker: Some((stop, thread)),
        }
    }

    /// Says what the step is doing now; shown beside the label while it runs.
    pub(crate) fn detail(&self, text: impl Into<String>) {
        *self.detail.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }

    /// Ends the step well.
    pub(crate) fn done(self, remark: &str) {
        self.end("✓", remark);
    }

    /// Ends a step that was not carried out, with the reason.
    pub(crate) fn skipped(self, reason: &str) {
        self.end("–", reason);
    }

    /// Prints a line of its own above the moving one.
    pub(crate) fn note(&self, line: &str) {
        if stderr().is_terminal() {
            eprint!("\r\x1b[2K");
        }
        eprintln!("{line}");
    }

    fn end(mut self, sign: &str, remark: &str) {
        self.stop_ticker();
        let seconds = self.start.elapsed().as_secs_f32();
        let remark = if remark.is_empty() {
            String::new()
        } else {
            format!(": {remark}")
        };
        let line = format!("{sign} {}{remark} ({seconds:.1} s)", self.label);
        self.note(&line);
    }

    fn stop_ticker(&mut self) {
        if let Some((stop, thread)) = self.ticker.take() {
            drop(stop);
            // Joining fails only where drawing a line panicked; there is nothing to clean up then.
            drop(thread.join());
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if self.ticker.is_some() {
            self.stop_ticker();
            let seconds = self.start.elapsed().as_secs_f32();
            self.note(&format!("✗ {} ({seconds:.1} s)", self.label));
        }
    }
}

struct Ticker {
    label: String,
    start: Instant,
    detail: Arc<Mutex<String>>,
}

impl Ticker {
    fn draw(&self, terminal: bool, frame: usize) {
        let seconds = self.start.elapsed().as_secs();
        let detail = self
            .detail
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let spinner = SPINNER[frame % SPINNER.len()];
        if terminal {
            let line: String = format!("{spinner} {} {seconds} s  {detail}", self.label)
                .chars()
                .take(110)
                .collect();
            eprint!("\r\x1b[2K{line}");
            drop(stderr().flush());
        } else {
            eprintln!("  {} … {seconds} s  {detail}", self.label);
        }
    }
}

const FRAME: Duration = Duration::from_millis(120);
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
const SPINNER: [&str; 8] = ["⣾", "⣽", "⣻", "⢿", "⡿", "⣟", "⣯", "⣷"];
