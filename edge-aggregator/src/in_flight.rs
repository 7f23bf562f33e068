//! Room for uploads: what all objects of an isolate hold at once stays below a limit.

use core::cell::Cell;

use crate::error::EdgeError;
use crate::limits::UPLOADS_IN_FLIGHT_BYTES;

thread_local! {
    /// Upload bytes held by this isolate, which its objects share.
    static IN_FLIGHT: Cell<usize> = const { Cell::new(0) };
}

/// Room for one upload, given back when dropped.
#[derive(Debug)]
pub struct Held(usize);

impl Held {
    /// Room for so many bytes.
    ///
    /// # Errors
    /// [`EdgeError::Busy`] where there is none now.
    pub fn new(bytes: usize) -> Result<Self, EdgeError> {
        let total = IN_FLIGHT.get() + bytes;
        if total > UPLOADS_IN_FLIGHT_BYTES {
            return Err(EdgeError::Busy);
        }
        IN_FLIGHT.set(total);
        Ok(Self(bytes))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        IN_FLIGHT.set(IN_FLIGHT.get() - self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_is_given_back_can_be_taken_again() {
        let all = Held::new(UPLOADS_IN_FLIGHT_BYTES);
        assert!(all.is_ok());
        assert!(matches!(Held::new(1), Err(EdgeError::Busy)));
        drop(all);
        assert!(Held::new(1).is_ok());
    }
}
