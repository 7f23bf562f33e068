//! How pairs are dealt, and a short run.

use std::collections::BTreeSet;

use super::*;

/// Two answers to each of so many questions, and two pairs of each conversation.
fn pairs(conversations: usize) -> Vec<Preference> {
    let pair = |place: usize| Preference {
        prompt: format!("\n\nHuman: question {}?\n\nAssistant:", place / 2),
        chosen: format!(" no {place}"),
        rejected: format!(" yes {place}"),
    };
    (0..2 * conversations).map(pair).collect()
}

fn fold<'a>(pairs: &'a [Preference], place: usize, settings: &Settings) -> Fold<'a> {
    let parts = PreferenceSplit::new(pairs, settings.folds, 0, settings.seed).unwrap();
    Fold::new(pairs, &parts.clients, place, settings).unwrap()
}

#[test]
fn every_pair_is_held_out_once_and_its_conversation_with_it() {
    let (pairs, settings) = (pairs(100), Settings::default());
    let mut seen = BTreeSet::new();
    for place in 0..settings.folds {
        let fold = fold(&pairs, place, &settings);
        let prompts = |of: &[&Preference]| -> BTreeSet<String> {
            of.iter().map(|pair| pair.prompt.clone()).collect()
        };
        let held_out = prompts(&fold.held_out);
        let mut dealt = 0;
        for (own, validation) in fold.clients.iter().zip(&fold.validation) {
            dealt += own.len() + validation.len();
            assert!(!validation.is_empty() && validation.len() < own.len());
            assert!(prompts(own).is_disjoint(&held_out));
            assert!(prompts(validation).is_disjoint(&held_out));
            assert!(prompts(validation).is_disjoint(&prompts(own)));
        }
        assert_eq!(dealt + fold.held_out.len(), pairs.len());
        seen.extend(fold.held_out.iter().map(|pair| pair.chosen.clone()));
    }
    assert_eq!(seen.len(), pairs.len());
}

#[test]
fn too_few_pairs_are_refused() {
    let pairs = pairs(3);
    let parts = vec![vec![0, 1], vec![2, 3, 4, 5]];
    let refused = Fold::new(&pairs, &parts, 1, &Settings::default()).map(|_| ());
    assert!(refused.unwrap_err().to_string().contains("too few"));
}

#[test]
fn an_accuracy_has_an_interval() {
    let found = accuracy(Comparisons {
        right: 60,
        tied: 2,
        wrong: 38,
    });
    assert_eq!((found.accuracy, found.tied), (0.61, 2));
    assert!(found.low < 0.61 && found.high > 0.61);
}

#[test]
fn a_seed_decides_a_short_run() {
    let Some(shared) = std::env::var_os("CHOIR_SHARED") else {
        println!("skipped: CHOIR_SHARED names no folder with data/hh_rlhf");
        return;
    };
    let settings = Settings {
        most_pairs: Some(48),
        folds: 3,
        clients: 2,
        rounds: 2,
        local_steps: 3,
        batch: 4,
        learning_rates: vec![1e-3],
        prompt_tokens: 8,
        response_tokens: 16,
        drawn_answers: 1,
        drawn_tokens: 4,
        ..Settings::default()
    };
    let run = || {
        let mut report = run(shared.as_ref(), &settings, &|_| ()).unwrap();
        report.seconds = 0.0;
        report
    };
    let report = run();
    assert_eq!((report.pairs, report.held_out), (48, 48));
    assert!(
        report
            .attempts
            .iter()
            .flatten()
            .all(|a| a.rounds.len() == 2)
    );
    let base = core::f64::consts::LN_2;
    assert!(report.choices.iter().all(|c| c.validation_loss <= base));
    assert!(report.held_out_loss.is_finite() && report.divergence_per_token >= 0.0);
    assert!(report.drawn_tokens > 0);
    let json = |report: &Report| serde_json::to_string(report).unwrap();
    assert_eq!(json(&report), json(&run()));
}
