//! `cargo xtask bench train`: training steps in Chromium against the best rate that its WebGPU
//! reaches, in the same session and by the same clock; with `--peers` also against the other
//! libraries that train in a browser, a page for each row, in an order that a seed shuffles.
//!
//! On a software adapter the clock is the CPU time of the browser's process tree over the cores:
//! what an idle machine could give. On a real GPU it is the wall's. The other one stands beside it.
//! A row counts only where its losses are the reference's.

mod decoder_task;
pub(super) mod figures;
mod options;
pub(super) mod plan;
mod report;
mod rivals;
mod row;
#[cfg(test)]
mod sample;
pub(super) mod session;
mod summary;
mod svg;
mod workload;

pub(crate) use decoder_task::small_decoder;
pub(super) use options::{Options, asked};

use crate::failure::{AtPath, Outcome};
use crate::paths::Paths;
use crate::{build, setup};
use plan::Plan;
use std::fs;

/// Below this rate, in GFLOP/s on a software adapter, the machine is too busy for the ratio to the
/// limit to mean anything.
const LEAST_RATE: f64 = 7.0;

/// Runs it, prints the JSON and writes the files asked for.
///
/// # Errors
/// `Check` where our own losses differ from the reference and nothing else was asked for; a row of
/// `--peers` that fails is a result.
pub(super) fn run(paths: &Paths, options: &Options) -> Outcome<()> {
    if !options.as_built {
        setup::run(paths)?;
        build::run(paths, false)?;
    }
    let plan = Plan::make(paths, options)?;
    let session = session::run(paths, &plan)?;
    let (result, lines) = if options.peers {
        summary::of(&plan, &session)
    } else {
        (report::of(&plan, &session)?, Vec::new())
    };
    println!("{result:#}");
    if let Some(file) = &options.json {
        fs::write(file, format!("{result:#}\n")).at(file)?;
    }
    if let Some(file) = &options.svg {
        fs::write(file, svg::draw(&session)).at(file)?;
    }
    for line in lines {
        eprintln!("  {line}");
    }
    if !session.is_valid() {
        eprintln!(
            "  void as a comparison with the limit: that was {:.2} GFLOP/s, under {LEAST_RATE}; \
             the machine is busy",
            session.rate()
        );
    }
    Ok(())
}
