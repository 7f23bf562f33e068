//! The researcher's door on real parts: simulated experiments, and attacks on updates.

mod reconstruction;
mod simulation;

use super::counts::Counts;
use crate::paths::Paths;

/// Runs the scenarios.
pub(super) fn run(paths: &Paths, counts: &mut Counts) {
    simulation::run(paths, counts);
    reconstruction::run(paths, counts);
}
