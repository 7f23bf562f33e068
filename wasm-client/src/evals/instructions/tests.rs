//! A short run.

use super::*;
use crate::language::instructions::{Instruction, Instructions};
use crate::language::templates::Example;

#[test]
fn instructions_of_clients_can_stand_in_for_the_test() {
    let example = |name: &str| Instruction {
        example: Example {
            instruction: name.to_owned(),
            ..Default::default()
        },
        category: String::new(),
    };
    let of = |names: &[&str]| Instructions {
        all: names.iter().map(|name| example(name)).collect(),
        blank: 0,
    };
    let mut split = Split {
        clients: vec![of(&["a", "b", "c"]), of(&["d"])],
        test: of(&["secret"]),
    };
    hide_the_test(&mut split, 2);
    assert_eq!(split.clients, [of(&["a"]), of(&[])]);
    assert_eq!(split.test, of(&["b", "c", "d"]));
}

#[test]
fn a_short_run_lowers_the_loss_and_is_decided_by_its_seed() {
    let Some(shared) = std::env::var_os("CHOIR_SHARED") else {
        println!("skipped: CHOIR_SHARED names no folder with data/dolly10");
        return;
    };
    let settings = Settings {
        rounds: 2,
        local_steps: 2,
        batch: 2,
        prompt_tokens: 16,
        response_tokens: 12,
        answer_tokens: 3,
        seeds: vec![1],
        validate_by: Some(2),
        ..Settings::default()
    };
    let run = || {
        let mut report = run(shared.as_ref(), &settings, &|_| ()).unwrap();
        report.seconds = 0.0;
        report
    };
    let report = run();
    assert_eq!((report.test_examples, report.steps), (20, 40));
    let seed = &report.seeds[0];
    assert_eq!((seed.curve.len(), seed.loss_local.len()), (2, 10));
    assert_eq!(seed.curve[1], report.loss_federated);
    assert!(report.loss_federated < report.loss_base, "{report:?}");
    assert!(report.loss_local_mean < report.loss_base, "{report:?}");
    assert!(report.loss_central < report.loss_base, "{report:?}");
    assert!((0.0..=1.0).contains(&report.rouge_l_federated));
    let json = |report: &Report| serde_json::to_string(report).unwrap();
    assert_eq!(json(&report), json(&run()));
}
