//! A line every few seconds: what is trained, how much of all steps is done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(3);

/// Counts the steps of all threads.
pub struct Progress<'a> {
    say: &'a (dyn Fn(&str) + Sync),
    began: Instant,
    steps: u64,
    done: AtomicU64,
    /// When the last line was said, and what is trained.
    last: Mutex<(Instant, String)>,
}

impl<'a> Progress<'a> {
    /// Of so many steps; `say` gets the lines.
    pub fn new(steps: u64, say: &'a (dyn Fn(&str) + Sync)) -> Self {
        let began = Instant::now();
        Self {
            say,
            began,
            steps,
            done: AtomicU64::new(0),
            last: Mutex::new((began, String::new())),
        }
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// What comes now.
    pub fn begin(&self, what: impl Into<String>) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).1 = what.into();
    }

    /// A line at once.
    pub fn note(&self, line: &str) {
        (self.say)(line);
    }

    /// One more step is done.
    pub fn step(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.work();
    }

    /// Something is done that is no step: a line if it is time for one.
    pub fn work(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0.elapsed() < INTERVAL {
            return;
        }
        last.0 = Instant::now();
        let done = self.done.load(Ordering::Relaxed);
        let (what, steps, seconds) = (&last.1, self.steps, self.seconds());
        (self.say)(&format!(
            "{what}: step {done} of {steps} of all trainings, {seconds:.0} s"
        ));
    }
}
