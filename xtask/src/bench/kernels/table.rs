//! The result as a table for people.

use super::Line;
use super::session::Session;
use core::fmt::Write;

/// A heading, then a line for each kernel and shape.
pub(super) fn of(session: &Session, lines: &[Line]) -> String {
    let mut text = format!(
        "{}; best product {:.1} GFLOP/s, best copy {:.1} GB/s; by {}\n",
        session.machine.adapter,
        session.product(),
        session.copy(),
        session.clock()
    );
    let mut workload = "";
    for line in lines {
        if line.workload != workload {
            workload = &line.workload;
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:<34} {:<26} {:>5} {:>9} {:>8} {:>8} {:>6} {:>7} {:>6}",
                workload, "shape", "calls", "ms", "spread", "GFLOP/s", "best", "GB/s", "best"
            );
        }
        let spread = line.ms.json()["spread"].as_f64().unwrap_or_default();
        let _ = writeln!(
            text,
            "{:<34} {:<26} {:>5} {:>9.3} {:>8.3} {:>8} {:>6} {:>7} {:>6}",
            line.work.name,
            line.work.shape,
            line.count,
            line.ms.median,
            spread,
            number(line.gflops()),
            share(line.gflops(), session.product()),
            number(line.gbytes()),
            share(line.gbytes(), session.copy())
        );
    }
    text
}

fn number(rate: Option<f64>) -> String {
    rate.map_or_else(String::new, |rate| format!("{rate:.2}"))
}

fn share(rate: Option<f64>, best: f64) -> String {
    rate.filter(|_| best > 0.0)
        .map_or_else(String::new, |rate| format!("{:.0}%", 100.0 * rate / best))
}
