//! A short evaluation of a few speakers with the real decoder.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use choir_wasm_client::evals::shakespeare::{self, Report, Settings};

/// Three speakers, two rounds; none without the data.
fn short(workers: usize) -> Option<Report> {
    let Some(shared) = std::env::var_os("CHOIR_SHARED") else {
        println!(
            "skipped: CHOIR_SHARED names no folder with models/stories260K and data/tinyshakespeare"
        );
        return None;
    };
    let settings = Settings {
        shared: PathBuf::from(shared),
        most_clients: 3,
        rounds: 2,
        cohort: 3,
        local_steps: 5,
        row: 64,
        rank: 4,
        workers,
        ..Settings::default()
    };
    let lines = AtomicUsize::new(0);
    let report = shakespeare::run(&settings, &|_| {
        lines.fetch_add(1, Ordering::Relaxed);
    });
    // Each round of both federated trainings has one at least.
    assert!(lines.load(Ordering::Relaxed) >= 4);
    Some(report.unwrap())
}

#[test]
fn training_together_is_better_than_the_base_and_its_sums_are_the_plain_ones() {
    let Some(report) = short(2) else { return };
    let base = report.base.value;
    println!(
        "base {base:.3}, local {:.3}, federated LoRA {:.3} and prompt {:.3}, central {:.3}",
        report.local.value,
        report.federated_lora.value,
        report.federated_prompt.value,
        report.central_lora.value
    );
    assert!(report.federated_lora.value < base - 0.1);
    assert!(report.federated_prompt.value < base);
    assert!(report.central_lora.value < base && report.local.value < base);
    for rounds in [&report.lora_rounds, &report.prompt_rounds] {
        assert_eq!(rounds.secure_sums, 2);
        assert_eq!(rounds.curve.len(), 3);
        assert!(rounds.rounding_error < 1e-4, "{}", rounds.rounding_error);
    }
    // B of version 0 is zero: it is the base model.
    assert!((report.lora_rounds.curve[0] - base).abs() < 1e-6);
    assert_eq!(report.lora_rounds.curve[2], report.federated_lora.value);
    assert!(shakespeare::plot::draw(&report).contains("federated LoRA"));
}

#[test]
fn the_number_of_threads_does_not_change_the_numbers() {
    let (Some(one), Some(three)) = (short(1), short(3)) else {
        return;
    };
    assert_eq!(one.lora_rounds.curve, three.lora_rounds.curve);
    assert_eq!(one.prompt_rounds.curve, three.prompt_rounds.curve);
    assert_eq!(one.local, three.local);
    assert_eq!(one.central_lora, three.central_lora);
}
