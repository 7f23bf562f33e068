//! The operator's bearer secret, compared in constant time.
//!
//! Both sides are hashed first, so neither the length nor the place of the first difference of the
//! secret shows in the time of the comparison. One secret; roles and accounts are not in scope.

use core::hint::black_box;

use choir_shared::ids::Digest;
use worker::{Env, Request};

use crate::error::EdgeError;
use crate::limits::OPERATOR_SECRET_MIN_BYTES;

/// Name of the secret in the worker's environment.
pub const OPERATOR_SECRET: &str = "OPERATOR_SECRET";
/// Name of the token that reads metrics and can do nothing else; it may be left out.
pub const METRICS_TOKEN: &str = "METRICS_TOKEN";

/// Name of the token by which a leader speaks to its helper; both have it.
pub const HELPER_TOKEN: &str = "HELPER_TOKEN";

/// Passes only requests with `Authorization: Bearer <the operator's secret>`.
///
/// # Errors
/// [`EdgeError::Unauthorized`] otherwise, and always where no secret of the least length is set.
pub fn require_operator(request: &Request, env: &Env) -> Result<(), EdgeError> {
    require_one_of(&[OPERATOR_SECRET], request, env)
}

/// Passes the operator, and whoever has the token for metrics, where one is set.
///
/// # Errors
/// As [`require_operator`].
pub fn require_reader(request: &Request, env: &Env) -> Result<(), EdgeError> {
    require_one_of(&[OPERATOR_SECRET, METRICS_TOKEN], request, env)
}

/// Passes only the leader of this helper's tasks.
///
/// # Errors
/// As [`require_operator`].
pub fn require_leader(request: &Request, env: &Env) -> Result<(), EdgeError> {
    require_one_of(&[HELPER_TOKEN], request, env)
}

fn require_one_of(names: &[&str], request: &Request, env: &Env) -> Result<(), EdgeError> {
    let header = request.headers().get("authorization").ok().flatten();
    let token = header.as_deref().and_then(bearer);
    let accepted = names.iter().any(|name| {
        let secret = env.secret(name).map(|secret| secret.to_string());
        matches!((secret, token), (Ok(secret), Some(token)) if accepts(&secret, token))
    });
    if accepted {
        Ok(())
    } else {
        Err(EdgeError::Unauthorized)
    }
}

/// The token of a `Bearer` header; the scheme's case does not matter (RFC 7235, section 2.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn accepts(secret: &str, token: &str) -> bool {
    secret.len() >= OPERATOR_SECRET_MIN_BYTES
        && equal_in_constant_time(
            &Digest::of(secret.as_bytes()).0,
            &Digest::of(token.as_bytes()).0,
        )
}

/// Looks at every byte whatever the earlier ones were.
fn equal_in_constant_time(left: &[u8; 32], right: &[u8; 32]) -> bool {
    let difference = left
        .iter()
        .zip(right)
        .fold(0_u8, |seen, (a, b)| black_box(seen | (a ^ b)));
    black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a-secret-of-the-least-length-0123";

    #[test]
    fn only_the_whole_secret_is_accepted() {
        assert!(accepts(SECRET, SECRET));
        for wrong in ["", "a-secret", &SECRET[1..], &format!("{SECRET}4")] {
            assert!(!accepts(SECRET, wrong), "{wrong}");
        }
    }

    #[test]
    fn a_secret_that_is_too_short_accepts_nobody() {
        assert!(!accepts("", ""));
        assert!(!accepts("short", "short"));
    }

    #[test]
    fn each_differing_byte_is_seen() {
        let base = [7_u8; 32];
        for at in 0..32 {
            let mut other = base;
            other[at] ^= 1;
            assert!(!equal_in_constant_time(&base, &other));
        }
        assert!(equal_in_constant_time(&base, &base));
    }

    #[test]
    fn bearer_takes_the_token_of_its_own_scheme_only() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearer"), None);
    }
}
