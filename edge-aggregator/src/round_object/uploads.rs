//! Masked updates, by HTTP. One counts when it came whole; of half an upload nothing remains.

use choir_shared::ids::Digest;
use choir_shared::messages::Upload;
use choir_shared::reject::RejectCode;
use choir_shared::round::Event;
use choir_shared::wire;
use wasm_bindgen::prelude::*;
use worker::js_sys::Uint8Array;
use worker::{Request, Response};

use super::RoundObject;
use super::effects::Save;
use super::live::Stage;
use crate::error::EdgeError;
use crate::in_flight::Held;
use crate::limits::declared_length;

impl RoundObject {
    /// Reads an upload whole, then lets the round have it. An empty answer means that it is in the
    /// sum, and the sum on disk, together with those of its batch.
    pub(super) async fn receive(&self, request: Request) -> Result<Response, EdgeError> {
        let limit = self.read(|live| match &live.stage {
            Stage::Open(round) => Ok(round.upload_limit()),
            _ => Err(live.refusal()),
        })??;
        let length = match declared_length(&request, limit) {
            Err(EdgeError::TooLarge) => return Err(self.refuse_unread(RejectCode::TooLarge)),
            other => other?,
        };
        let _held = Held::new(length)?;
        let Some(body) = Body::read(&request, length).await else {
            return Err(self.refuse_unread(RejectCode::Truncated));
        };
        let bytes = body.0.to_vec();
        let upload: Upload<'_> = match wire::decode(&bytes, limit) {
            Ok(upload) => upload,
            Err(error) => return Err(self.refuse_unread(error.into())),
        };
        let digest = body.digest_of_last(upload.words.len()).await?;
        let mut todo = self.apply(bytes.len(), Save::InBatch, |round, now| {
            round.handle(Event::Upload { upload, digest }, now)
        })?;
        match todo.held.take() {
            Some(batch) => self.stored(&batch).await?,
            None => self.perform(todo).await?,
        }
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

#[wasm_bindgen(inline_js = r#"
export async function readWhole(body, length) {
  const reader = body.getReader({ mode: "byob" });
  const { value } = await reader.readAtLeast(length, new Uint8Array(length));
  return value;
}
export async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
"#)]
extern "C" {
    /// Fills one buffer from a byte stream, without a copy in between.
    #[wasm_bindgen(catch, js_name = readWhole)]
    async fn read_whole(body: &JsValue, length: u32) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    async fn sha256(bytes: Uint8Array) -> Result<JsValue, JsValue>;
}

/// The body of a request, outside of the module's memory: the runtime hashes it there, several
/// times as fast as a module can.
struct Body(Uint8Array);

impl Body {
    /// Reads a body of exactly `length` bytes, as they come; nothing if fewer came.
    async fn read(request: &Request, length: usize) -> Option<Self> {
        let stream = request.inner().body()?;
        let read = read_whole(&stream, length as u32).await.ok()?;
        let bytes: Uint8Array = read.dyn_into().ok()?;
        (bytes.length() as usize == length).then_some(Self(bytes))
    }

    /// SHA-256 of the last `count` bytes.
    async fn digest_of_last(&self, count: usize) -> Result<Digest, EdgeError> {
        let start = self.0.length() - count as u32;
        let digest = sha256(self.0.subarray(start, self.0.length()))
            .await
            .map_err(worker::Error::from)?;
        let bytes: Uint8Array = digest.unchecked_into();
        let digest = bytes.to_vec().try_into();
        digest
            .map(Digest)
            .map_err(|_| EdgeError::Fault("a digest has another length".into()))
    }
}
