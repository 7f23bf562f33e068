//! Instructions and preferences, learned by federated clients natively.

use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use serde_json::{Value, json};
use std::path::Path;

/// What the reward accuracy has to reach.
const LEAST_ACCURACY: f64 = 0.58;
/// Pairs that have to be compared.
const LEAST_PAIRS: u64 = 700;

/// Preferences of HH-RLHF. An accuracy is a number, with its 95 % interval beside it.
pub(super) fn preferences(paths: &Paths, shared: &Path) -> Outcome<Value> {
    let mut report = super::natively(paths, Some(shared), &["dpo-hh".into()])?;
    for key in [
        "reward_accuracy",
        "reward_accuracy_per_token",
        "base_likelihood_accuracy",
    ] {
        let found = report[key].take();
        report[format!("{key}_interval")] = json!([found["low"], found["high"]]);
        report[format!("{key}_ties")] = found["tied"].clone();
        report[key] = found["accuracy"].clone();
    }
    Ok(report)
}

/// # Errors
/// `Check` where the accuracy or its interval is too low, or too few pairs were compared.
pub(super) fn check_preferences(result: &Value) -> Outcome<()> {
    let number = |key: &str| result[key].as_f64().unwrap_or(f64::NAN);
    let reached = number("reward_accuracy") >= LEAST_ACCURACY
        && result["held_out"].as_u64().unwrap_or(0) >= LEAST_PAIRS
        && result["above_length_rule"] == json!(true);
    if reached {
        return Ok(());
    }
    Err(Failure::Check(format!(
        "the reward accuracy is {} {} on {} pairs: at least {LEAST_ACCURACY} on {LEAST_PAIRS}, and an \
         interval above the rule of the shorter answer, {}, were asked for",
        result["reward_accuracy"],
        result["reward_accuracy_interval"],
        result["held_out"],
        result["length_rule"],
    )))
}

/// Dolly's instructions.
pub(super) fn instructions(paths: &Paths, shared: &Path) -> Outcome<Value> {
    super::natively(paths, Some(shared), &["instruct-dolly".into()])
}

/// # Errors
/// `Check` where learning together does not lower the loss of responses.
pub(super) fn check_instructions(result: &Value) -> Outcome<()> {
    let number = |key: &str| result[key].as_f64().unwrap_or(f64::NAN);
    if number("loss_federated") < number("loss_base") {
        return Ok(());
    }
    Err(Failure::Check(format!(
        "the loss of responses is {} after learning together, and was {}",
        result["loss_federated"], result["loss_base"]
    )))
}
