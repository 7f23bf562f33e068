//! Experiments on a tiny model: what each strategy changes, sends and keeps.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod runs;
mod stage;
mod strategies;
