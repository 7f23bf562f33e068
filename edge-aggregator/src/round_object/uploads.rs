//! Masked updates, by HTTP. One counts when it came whole; of half an upload nothing remains.

use core::cell::Cell;

use choir_shared::reject::RejectCode;
use worker::{Request, Response};

use super::RoundObject;
use super::live::Stage;
use crate::error::EdgeError;
use crate::limits::{UPLOADS_IN_FLIGHT_BYTES, declared_length};

impl RoundObject {
    /// Reads an upload whole, then lets the round have it. An empty answer means that it is in the
    /// sum, and the sum on disk.
    pub(super) async fn receive(&self, mut request: Request) -> Result<Response, EdgeError> {
        let limit = self.read(|live| match &live.stage {
            Stage::Open(round) => Ok(round.upload_limit()),
            _ => Err(live.refusal()),
        })??;
        let length = match declared_length(&request, limit) {
            Err(EdgeError::TooLarge) => return Err(self.refuse_unread(RejectCode::TooLarge)),
            other => other?,
        };
        let _held = Held::new(length)?;
        let Ok(bytes) = request.bytes().await else {
            return Err(self.refuse_unread(RejectCode::Truncated));
        };
        self.happen(bytes.len(), |round, now| round.handle_upload(&bytes, now))
            .await?;
        Ok(Response::empty()?)
    }

    /// Refuses what the round itself never sees.
    pub(super) fn refuse_unread(&self, code: RejectCode) -> EdgeError {
        if let Some(live) = self.live.borrow_mut().as_mut() {
            live.figures.refused(code);
        }
        code.into()
    }
}

thread_local! {
    /// Upload bytes held by this isolate, which its objects share.
    static IN_FLIGHT: Cell<usize> = const { Cell::new(0) };
}

/// Room for one upload, given back when dropped.
struct Held(usize);

impl Held {
    fn new(bytes: usize) -> Result<Self, EdgeError> {
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
