//! A line on standard error every few seconds, so that nothing is silent for long.

use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(2);

/// Of one piece of work.
pub(super) struct Progress {
    what: &'static str,
    total: usize,
    last: Instant,
}

impl Progress {
    pub(super) fn new(what: &'static str, total: usize) -> Self {
        Self {
            what,
            total,
            last: Instant::now(),
        }
    }

    /// Says how far it is, if the last line was some time ago.
    pub(super) fn at(&mut self, done: usize, note: impl FnOnce() -> String) {
        if self.last.elapsed() >= INTERVAL {
            eprintln!("{}: {done} of {}{}", self.what, self.total, note());
            self.last = Instant::now();
        }
    }
}
