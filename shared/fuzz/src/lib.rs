//! Fuzz targets: one for each decoder of the protocol, and one for the event sequence of each
//! machine.
//!
//! A target takes any bytes, panics where something does not hold, and says whether the bytes got as
//! far as the target is about: a message that decodes, a round that publishes its sum. The corpus of
//! each lies in `corpus/<name>`; `tests/corpus.rs` runs it as an ordinary test, `cargo xtask fuzz`
//! searches on from it under libFuzzer (docs/decisions/0008-fuzzing.md).

pub mod batch_events;
pub mod client_events;
pub mod decoders;
pub mod faults;
pub mod pieces;
pub mod round_events;
mod scene;
pub mod script;
mod seeds;

/// Something that takes bytes from outside.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its corpus.
    pub name: &'static str,
    /// Longest input, in bytes, that is tried.
    pub max_len: usize,
    /// Panics where something does not hold; true where the bytes got as far as the target is about.
    pub run: fn(&[u8]) -> bool,
    /// Inputs to start from, made of valid messages.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}

macro_rules! targets {
    ($($name:ident in $module:ident, $max_len:expr;)*) => {
        /// Every target.
        pub const ALL: &[Target] = &[$(Target {
            name: stringify!($name),
            max_len: $max_len,
            run: $module::$name,
            seeds: seeds::$name,
        },)*];
    };
}

targets! {
    client_message in decoders, 2_048;
    aggregator_message in decoders, 2_048;
    upload in decoders, 1_024;
    task_config in decoders, 1_024;
    task_status in decoders, 2_048;
    create_task in decoders, 1_024;
    control in decoders, 512;
    report in decoders, 1_024;
    report_json in decoders, 2_048;
    header in decoders, 256;
    round_state in decoders, 4_096;
    kat_json in decoders, 4_096;
    mode_b_report in decoders, 512;
    mode_b_batch in decoders, 1_024;
    mode_b_reply in decoders, 512;
    leader_state in decoders, 1_024;
    roster in pieces, 1_024;
    bitmap in pieces, 256;
    ring in pieces, 512;
    expansion in pieces, 256;
    adapter in pieces, 256;
    hex in pieces, 160;
    keys in pieces, 256;
    shares in pieces, 512;
    sealed_box in pieces, 256;
    round_events in round_events, 512;
    client_events in client_events, 512;
    batch_events in batch_events, 256;
}
