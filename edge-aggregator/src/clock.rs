//! The runtime's clock and alarm, in the protocol's milliseconds.

use choir_shared::ids::Timestamp;
use worker::{Date, State};

use crate::error::EdgeError;

/// Now, as the runtime tells it.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp(Date::now().as_millis())
}

/// Sets the one alarm that an object has.
///
/// # Errors
/// [`EdgeError::Fault`] where storage fails.
pub async fn set_alarm(state: &State, at: Timestamp) -> Result<(), EdgeError> {
    let date = js_sys::Date::new(&(at.0 as f64).into());
    Ok(state
        .storage()
        .set_alarm(worker::ScheduledTime::new(date))
        .await?)
}
