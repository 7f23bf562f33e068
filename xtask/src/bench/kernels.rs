//! `cargo xtask bench kernels`: each kernel that a training step calls, by itself, against the best
//! plain product and the best copy that the same browser's WebGPU reaches.
//!
//! The calls are those of a real step of each workload, watched in the page and made again on the same
//! buffers. The clock is that of `bench train`.

mod options;
mod session;
mod table;
mod work;

pub(super) use options::{Options, asked};

use super::train::figures::Spread;
use crate::failure::{AtPath, Outcome};
use crate::paths::Paths;
use crate::{build, setup};
use serde_json::{Value, json};
use session::{Call, Session};
use std::fs;
use work::Work;

/// A kernel on one shape, and what came of it.
struct Line {
    workload: String,
    work: Work,
    /// Calls of it in a step.
    count: u32,
    ms: Spread,
    rounds: usize,
}

/// Runs it, prints the JSON and the table, and writes the file asked for.
///
/// # Errors
/// `Program` where the browser fails, `Data` where what it says cannot be read.
pub(super) fn run(paths: &Paths, options: &Options) -> Outcome<()> {
    if !options.as_built {
        setup::run(paths)?;
        build::run(paths, false)?;
    }
    let session = session::run(paths, options)?;
    let lines = lines(&session);
    let result = json(&session, &lines);
    println!("{result:#}");
    if let Some(file) = &options.json {
        fs::write(file, format!("{result:#}\n")).at(file)?;
    }
    eprint!("{}", table::of(&session, &lines));
    Ok(())
}

/// All calls, those that take most of a step first.
fn lines(session: &Session) -> Vec<Line> {
    let mut lines = Vec::new();
    for (workload, calls) in &session.kernels {
        let mut found: Vec<_> = calls
            .iter()
            .filter_map(|call| line(workload, call, session))
            .collect();
        let share = |line: &Line| line.ms.median * f64::from(line.count);
        found.sort_by(|one, other| share(other).total_cmp(&share(one)));
        lines.extend(found);
    }
    lines
}

fn line(workload: &str, call: &Call, session: &Session) -> Option<Line> {
    let ms: Vec<f64> = call.ms.iter().map(|ms| ms.cpu.unwrap_or(ms.wall)).collect();
    let ms = Spread::of(&ms).filter(|_| session.machine.cores > 0.0)?;
    Some(Line {
        workload: workload.to_owned(),
        work: Work::of(call),
        count: call.count,
        ms,
        rounds: call.ms.len(),
    })
}

impl Line {
    /// GFLOP/s; nothing where no arithmetic worth counting is done.
    fn gflops(&self) -> Option<f64> {
        (self.work.flop > 0.0).then(|| self.work.flop / 1e6 / self.ms.median)
    }

    /// GB/s of what must be read and written once.
    fn gbytes(&self) -> Option<f64> {
        (self.work.bytes > 0.0).then(|| self.work.bytes / 1e6 / self.ms.median)
    }

    fn json(&self, session: &Session) -> Value {
        json!({
            "workload": self.workload,
            "kernel": self.work.name,
            "shape": self.work.shape,
            "calls_per_step": self.count,
            "repetitions": self.rounds,
            "ms": self.ms.json(),
            "gflops": self.gflops(),
            "of_best_product": self.gflops().map(|rate| rate / session.product()),
            "gbytes_per_s": self.gbytes(),
            "of_best_copy": self.gbytes().map(|rate| rate / session.copy()),
        })
    }
}

fn json(session: &Session, lines: &[Line]) -> Value {
    let machine = &session.machine;
    json!({
        "what": "Each call by itself, as a step makes it; gflops and gbytes_per_s: what it must compute, \
            and must read and write once, over the median; of_*: over the best of this session.",
        "clock": session.clock(),
        "adapter": machine.adapter,
        "browser": machine.browser,
        "cores": machine.cores,
        "load": machine.load,
        "best_product_gflops": session.product(),
        "best_copy_gbytes_per_s": session.copy(),
        "products": session.limits.as_ref().map(|limits| &limits.kernels),
        "copies": session.copies.as_ref().map(|copies| &copies.kernels),
        "kernels": lines.iter().map(|line| line.json(session)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::session::{Copies, Ms};
    use super::*;

    fn call(label: &str, count: u32, ms: f64) -> Call {
        let mut words = vec![0; 16];
        words[..4].copy_from_slice(&[64, 64, 0, 100]);
        Call {
            label: label.to_owned(),
            words,
            blocks: None,
            count,
            ms: vec![Ms {
                cpu: Some(ms),
                wall: 9.0 * ms,
            }],
        }
    }

    #[test]
    fn rates_are_over_the_sessions_best_and_the_costly_kernels_come_first() {
        let mut session = Session::default();
        session.machine.cores = 2.0;
        session.copies = Some(Copies {
            rate: 10.0,
            kernels: json!([]),
        });
        let forward = "Product(Product { transposed: false, integers: None })";
        let calls = vec![call("AdamW", 1, 1.0), call(forward, 3, 2.0)];
        session.kernels.push(("decoder".to_owned(), calls));
        let lines = lines(&session);
        assert_eq!(lines[0].count, 3);
        // 2·100·256·256 in 2 ms.
        assert_eq!(lines[0].gflops(), Some(6.5536));
        assert_eq!(lines[1].gflops(), None);
        let found = json(&session, &lines);
        // 7 vectors of 16 bytes, 64 times, in 1 ms.
        let share = found["kernels"][1]["of_best_copy"].as_f64();
        assert!(
            share.is_some_and(|share| (share - 7.168e-3 / 10.0).abs() < 1e-9),
            "{found}"
        );
    }
}
