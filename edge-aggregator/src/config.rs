//! Whether the deployment gave the worker everything that it needs, looked at before the first
//! request is answered; what is missing is named in the answer, with what to do.

use core::cell::Cell;

use worker::Env;

use crate::auth::{METRICS_TOKEN, OPERATOR_SECRET};
use crate::error::EdgeError;
use crate::limits::OPERATOR_SECRET_MIN_BYTES;
use crate::objects::BUCKET;

/// Bindings of the Durable Objects.
const OBJECTS: [&str; 3] = ["TASKS", "ROUNDS", "LANES"];

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
    if wrong.is_empty() {
        COMPLETE.set(true);
        Ok(())
    } else {
        Err(EdgeError::Misconfigured(wrong.join("; ")))
    }
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
}
