//! Whether the deployment gave the worker everything that it needs, looked at before the first
//! request is answered; what is missing is named in the answer, with what to do.

use core::cell::Cell;

use choir_shared::ids::from_hex;
use choir_shared::policy::Policy;
use choir_shared::two_aggregators::HelperKey;
use choir_shared::wire::limits::MIN_COHORT;
use worker::Env;
use zeroize::Zeroizing;

use crate::auth::{HELPER_TOKEN, METRICS_TOKEN, OPERATOR_SECRET};
use crate::error::EdgeError;
use crate::limits::OPERATOR_SECRET_MIN_BYTES;
use crate::objects::BUCKET;

/// Bindings of the Durable Objects.
const OBJECTS: [&str; 5] = ["TASKS", "ROUNDS", "LANES", "REPORTS", "HELPERS"];

/// Name of the helper's X25519 secret, 64 hex digits. A deployment that has it is a helper.
pub const HELPER_SECRET_KEY: &str = "HELPER_SECRET_KEY";
/// Name of the least number of reports that a helper answers for; the privacy floor where absent.
pub const HELPER_MIN_BATCH: &str = "HELPER_MIN_BATCH";

thread_local! {
    /// A deployment's environment does not change while an isolate lives.
    static COMPLETE: Cell<bool> = const { Cell::new(false) };
}

/// Passes where every binding and the operator's secret are there.
///
/// # Errors
/// [`EdgeError::Misconfigured`] with all that is wrong.
pub fn require_complete(env: &Env) -> Result<(), EdgeError> {
    if COMPLETE.get() {
        return Ok(());
    }
    let mut wrong = Vec::new();
    for name in OBJECTS {
        if env.durable_object(name).is_err() {
            wrong.push(format!("the binding {name} is no Durable Object"));
        }
    }
    if env.bucket(BUCKET).is_err() {
        wrong.push(format!("the binding {BUCKET} is no R2 bucket"));
    }
    let length = |name| env.secret(name).ok().map(|secret| secret.to_string().len());
    wrong.extend(secret_problem(OPERATOR_SECRET, length(OPERATOR_SECRET)));
    // The token for metrics may be left out, but not be guessable.
    if let Some(length) = length(METRICS_TOKEN) {
        wrong.extend(secret_problem(METRICS_TOKEN, Some(length)));
    }
    // A leader has the token alone, a helper its key as well.
    if let Some(length) = length(HELPER_TOKEN) {
        wrong.extend(secret_problem(HELPER_TOKEN, Some(length)));
    }
    match helper(env) {
        Ok(Some(_)) if length(HELPER_TOKEN).is_none() => {
            wrong.extend(secret_problem(HELPER_TOKEN, None));
        }
        Ok(_) => {}
        Err(problem) => wrong.push(problem.to_owned()),
    }
    if wrong.is_empty() {
        COMPLETE.set(true);
        Ok(())
    } else {
        Err(EdgeError::Misconfigured(wrong.join("; ")))
    }
}

/// What makes a deployment a helper.
pub struct HelperSettings {
    /// Its X25519 secret.
    pub key: HelperKey,
    /// It answers for no fewer reports than these.
    pub minimum: u16,
}

/// The helper's settings; none where the deployment is no helper.
///
/// # Errors
/// What is wrong with them.
pub fn helper(env: &Env) -> Result<Option<HelperSettings>, &'static str> {
    let Ok(key) = env.secret(HELPER_SECRET_KEY) else {
        return Ok(None);
    };
    let minimum = env.var(HELPER_MIN_BATCH).ok().map(|text| text.to_string());
    let key = Zeroizing::new(key.to_string());
    helper_settings(&key, minimum.as_deref()).map(Some)
}

fn helper_settings(key: &str, minimum: Option<&str>) -> Result<HelperSettings, &'static str> {
    let key = from_hex(key).map_err(
        |_| "the secret HELPER_SECRET_KEY is not 64 hex digits: `openssl rand -hex 32` makes some",
    )?;
    let minimum = match minimum {
        None => Some(Policy::default().min_cohort),
        Some(text) => text.parse().ok(),
    };
    Ok(HelperSettings {
        key: HelperKey::new(Zeroizing::new(key)),
        minimum: minimum
            .filter(|minimum| *minimum >= MIN_COHORT)
            .ok_or("the variable HELPER_MIN_BATCH is no number from 3 up")?,
    })
}

fn secret_problem(name: &str, length: Option<usize>) -> Option<String> {
    let state = match length {
        None | Some(0) => "is not set".to_owned(),
        Some(length) if length < OPERATOR_SECRET_MIN_BYTES => {
            format!("has fewer than {OPERATOR_SECRET_MIN_BYTES} characters")
        }
        Some(_) => return None,
    };
    Some(format!(
        "the secret {name} {state}: set it with `wrangler secret put {name}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_short_secret_is_named_with_what_to_do() {
        for length in [None, Some(0)] {
            let problem = secret_problem("OPERATOR_SECRET", length).unwrap_or_default();
            assert!(problem.contains("OPERATOR_SECRET is not set"), "{problem}");
            assert!(problem.contains("wrangler secret put"), "{problem}");
        }
        let short = secret_problem("METRICS_TOKEN", Some(23)).unwrap_or_default();
        assert!(short.contains("fewer than 24"), "{short}");
        assert_eq!(secret_problem("OPERATOR_SECRET", Some(24)), None);
    }

    #[test]
    fn a_helper_holds_its_own_minimum() {
        let key = "07".repeat(32);
        let minimum = |text| helper_settings(&key, text).map(|settings| settings.minimum);
        assert_eq!(minimum(None), Ok(50));
        assert_eq!(minimum(Some("3")), Ok(3));
        for bad in ["2", "0", "", "many", "-3"] {
            assert!(minimum(Some(bad)).is_err_and(|problem| problem.contains("HELPER_MIN_BATCH")));
        }
        let short = helper_settings("07", None).err();
        assert!(short.is_some_and(|problem| problem.contains("HELPER_SECRET_KEY")));
    }
}
