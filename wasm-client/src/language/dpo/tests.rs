//! Losses and derivatives by hand, and comparisons.

use super::*;

fn answer(policy: f64, reference: f64, tokens: usize) -> Answer {
    Answer {
        policy,
        reference,
        tokens,
    }
}

fn pair(chosen: (f64, f64, usize), rejected: (f64, f64, usize)) -> Pair {
    Pair {
        chosen: answer(chosen.0, chosen.1, chosen.2),
        rejected: answer(rejected.0, rejected.1, rejected.2),
    }
}

fn near(found: f64, expected: f64) {
    let scale = expected.abs().max(1e-300);
    assert!(
        (found - expected).abs() <= 1e-12 * scale,
        "{found}, not {expected}"
    );
}

#[test]
fn the_loss_equals_that_computed_by_hand() {
    // Rewards 0.1 · 4 and 0.1 · −6: margin 1.
    let loss = pair((-10.0, -14.0, 3), (-26.0, -20.0, 5)).loss(0.1);
    near(loss.value, (1.0 + (-1f64).exp()).ln());
    near(loss.by_chosen, -0.1 / (1.0 + 1f64.exp()));
    near(loss.by_rejected, 0.1 / (1.0 + 1f64.exp()));
    // A model that is its reference.
    let loss = pair((-10.0, -10.0, 3), (-20.0, -20.0, 5)).loss(0.1);
    near(loss.value, 2f64.ln());
    near(loss.by_chosen, -0.05);
}

#[test]
fn derivatives_are_those_of_the_loss() {
    let step = 1e-5;
    for margin in [-8.0, -0.3, 0.0, 2.0, 9.0] {
        let at = |chosen: f64, rejected: f64| {
            pair((margin / 0.3 + chosen, 0.0, 1), (rejected, 0.0, 1)).loss(0.3)
        };
        let by_chosen = (at(step, 0.0).value - at(-step, 0.0).value) / (2.0 * step);
        let by_rejected = (at(0.0, step).value - at(0.0, -step).value) / (2.0 * step);
        let loss = at(0.0, 0.0);
        assert!((by_chosen - loss.by_chosen).abs() < 1e-9, "{margin}");
        assert!((by_rejected - loss.by_rejected).abs() < 1e-9, "{margin}");
    }
}

#[test]
fn large_margins_overflow_nowhere() {
    near(log_sigmoid(0.0), -(2f64.ln()));
    near(log_sigmoid(-1000.0), -1000.0);
    // ln(1 + e^-40) is e^-40 all but e^-80 / 2.
    near(log_sigmoid(40.0), -(-40f64).exp());
    assert_eq!(log_sigmoid(1000.0), 0.0);
    let lost = pair((-1e6, 0.0, 1), (0.0, -1e6, 1)).loss(0.1);
    near(lost.value, 2e5);
    near(lost.by_chosen, -0.1);
    let won = pair((0.0, -1e6, 1), (-1e6, 0.0, 1)).loss(0.1);
    assert_eq!((won.value, won.by_rejected), (0.0, 0.0));
}

#[test]
fn lengths_can_turn_a_comparison() {
    // Rewards −4 over 10 tokens against −2 over 2.
    let pairs = [pair((-24.0, -20.0, 10), (-5.0, -3.0, 2))];
    let right = |by| comparisons(&pairs, by).right;
    assert_eq!(right(Score::Reward), 0);
    assert_eq!(right(Score::RewardPerToken), 1);
    // −2.4 a token against −2.5.
    assert_eq!(right(Score::LikelihoodPerToken), 1);
}

#[test]
fn a_model_that_is_its_reference_is_right_half_the_time() {
    let pairs = [
        pair((-24.0, -24.0, 10), (-5.0, -5.0, 2)),
        pair((-1.0, -1.0, 1), (-9.0, -9.0, 2)),
    ];
    assert_eq!(comparisons(&pairs, Score::Reward).accuracy(), Some(0.5));
    let diverged = [pair((f64::NAN, -1.0, 1), (-9.0, -9.0, 2))];
    assert_eq!(comparisons(&diverged, Score::Reward).accuracy(), Some(0.0));
    let empty = [pair((-1.0, -2.0, 0), (-9.0, -9.0, 2))];
    assert_eq!(comparisons(&empty, Score::RewardPerToken).wrong, 1);
}

#[test]
fn the_estimate_averages_to_the_divergence() {
    // Over all tokens, weighted by the model's probabilities, it is Σ p ln(p / q).
    let [p, q] = [[0.5f64, 0.3, 0.2], [0.2, 0.3, 0.5]];
    let expected: f64 = p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum();
    let drawn = [0, 0, 0, 0, 0, 1, 1, 1, 2, 2];
    let logs = |of: [f64; 3]| drawn.map(|token: usize| of[token].ln());
    near(divergence_per_token(&logs(p), &logs(q)).unwrap(), expected);
    near(divergence_per_token(&logs(p), &logs(p)).unwrap(), 0.0);
    assert_eq!(divergence_per_token(&[], &[]), None);
    assert_eq!(divergence_per_token(&[0.0], &[]), None);
}
