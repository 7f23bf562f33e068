//! From a sum to the next version: the objects that a round that is over leaves behind, whoever
//! added its updates up.

use choir_shared::fixed_point;
use choir_shared::ids::Digest;
use choir_shared::messages::Receipt;
use choir_shared::round::aggregator::words_to_bytes;
use worker::Env;

use crate::error::EdgeError;
use crate::limits::{CLOSING_FAILURES, HOPELESS_FAILURES, UPLOAD_MAX_BYTES};
use crate::objects;

/// Stores the sum, and the old adapter plus the mean; gives the new adapter's digest.
///
/// # Errors
/// [`EdgeError::BadObject`] where the old adapter is no such one, or what storage says.
pub async fn version(
    env: &Env,
    old: Digest,
    receipt: &Receipt,
    (sum, mean): &(Vec<u32>, Vec<f32>),
) -> Result<Digest, EdgeError> {
    let old = objects::read(env, old, UPLOAD_MAX_BYTES).await?;
    let new = next_adapter(&old, mean).ok_or(EdgeError::BadObject("adapter"))?;
    let adapter = Digest::of(&new);
    objects::write(env, receipt.sum, words_to_bytes(sum)).await?;
    objects::write(env, adapter, new).await?;
    Ok(adapter)
}

/// How often making the next version may fail. An object that is not there, or is another, does not
/// come back by itself.
#[must_use]
pub const fn failures_allowed(error: &EdgeError) -> u16 {
    match error {
        EdgeError::UnknownObject | EdgeError::BadObject(_) => HOPELESS_FAILURES,
        _ => CLOSING_FAILURES,
    }
}

/// The object of the version that `mean` makes of the one in `old`; none where their lengths differ.
fn next_adapter(old: &[u8], mean: &[f32]) -> Option<Vec<u8>> {
    let mut adapter = fixed_point::adapter_from_bytes(old)?;
    if adapter.len() != mean.len() {
        return None;
    }
    fixed_point::apply_mean(&mut adapter, mean);
    Some(fixed_point::adapter_bytes(&adapter))
}

#[cfg(test)]
mod tests {
    use super::{failures_allowed, next_adapter};
    use crate::error::EdgeError;
    use crate::limits::closing_retry_ms;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    #[test]
    fn the_new_adapter_is_the_old_plus_the_mean() {
        let new = next_adapter(&bytes(&[1.0, -2.0, 0.5]), &[0.25, 2.0, -0.5]);
        assert_eq!(new, Some(bytes(&[1.25, 0.0, 0.0])));
    }

    #[test]
    fn what_cannot_mend_itself_is_given_up_sooner() {
        let missing = failures_allowed(&EdgeError::UnknownObject);
        let other = failures_allowed(&EdgeError::BadObject("adapter"));
        let storage = failures_allowed(&EdgeError::Fault("storage".into()));
        assert_eq!(missing, other);
        assert!(1 < missing && missing < storage);
    }

    #[test]
    fn failing_storage_is_given_twenty_five_minutes() {
        let storage = failures_allowed(&EdgeError::Fault("storage".into()));
        let waited: u32 = (1..storage).map(closing_retry_ms).sum();
        assert!((25 * 60_000..60 * 60_000).contains(&waited), "{waited} ms");
    }

    #[test]
    fn an_adapter_of_another_length_makes_none() {
        assert_eq!(next_adapter(&bytes(&[1.0]), &[1.0, 2.0]), None);
        assert_eq!(next_adapter(&[0; 5], &[1.0]), None);
    }
}
