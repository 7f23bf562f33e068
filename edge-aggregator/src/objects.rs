//! Models, adapters and sums in R2, each named by its SHA-256.
//!
//! Objects never change, so an answer may be kept for ever. Bodies stream through in both
//! directions: the worker never holds a whole model. R2 computes the digest of what it received and
//! refuses a body that does not have it.

use choir_shared::ids::Digest;
use worker::{Bucket, Env, Headers, Method, Request, Response, ResponseBuilder};

use crate::auth::require_operator;
use crate::error::EdgeError;
use crate::limits::{self, OBJECT_MAX_BYTES};

/// Name of the bucket in the worker's environment.
pub const BUCKET: &str = "OBJECTS";

/// R2's code for a body whose digest is not the declared one.
const R2_BAD_DIGEST: &str = "(10037)";

/// Serves `/v1/objects/{digest}`.
///
/// # Errors
/// See [`EdgeError`]; a `PUT` is the operator's.
pub async fn serve(mut request: Request, env: &Env, digest: Digest) -> Result<Response, EdgeError> {
    match request.method() {
        Method::Get => download(&request, env, digest).await,
        Method::Head => describe(env, digest).await,
        Method::Put => {
            require_operator(&request, env)?;
            receive(&mut request, env, digest).await
        }
        _ => Err(EdgeError::MethodNotAllowed("GET, HEAD, PUT")),
    }
}

/// Reads a whole object into memory, at most `max_bytes` of it.
///
/// # Errors
/// [`EdgeError::UnknownObject`], or [`EdgeError::Fault`] where it is longer or storage fails.
pub async fn read(env: &Env, digest: Digest, max_bytes: usize) -> Result<Vec<u8>, EdgeError> {
    let object = bucket(env)?.get(digest.to_string()).execute().await?;
    let object = object.ok_or(EdgeError::UnknownObject)?;
    if object.size() > max_bytes as u64 {
        return Err(EdgeError::Fault(format!(
            "object {digest} is too long to read"
        )));
    }
    let body = object.body().ok_or(EdgeError::UnknownObject)?;
    Ok(body.bytes().await?)
}

/// Stores `bytes` under their own digest, which is given, and checked once more by R2.
///
/// # Errors
/// [`EdgeError::Fault`] where storage fails.
pub async fn write(env: &Env, digest: Digest, bytes: Vec<u8>) -> Result<(), EdgeError> {
    bucket(env)?
        .put(digest.to_string(), bytes)
        .sha256(digest.as_bytes().to_vec())
        .execute()
        .await?;
    Ok(())
}

/// The length of an object, if there is one.
///
/// # Errors
/// [`EdgeError::Fault`] where storage fails.
pub async fn length(env: &Env, digest: Digest) -> Result<Option<u64>, EdgeError> {
    let object = bucket(env)?.head(digest.to_string()).await?;
    Ok(object.map(|object| object.size()))
}

async fn download(request: &Request, env: &Env, digest: Digest) -> Result<Response, EdgeError> {
    let tag = format!("\"{digest}\"");
    let known = request.headers().get("if-none-match")?;
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        let headers = immutable_headers(&tag)?;
        return Ok(ResponseBuilder::new()
            .with_status(304)
            .with_headers(headers)
            .empty());
    }
    let object = bucket(env)?.get(digest.to_string()).execute().await?;
    let object = object.ok_or(EdgeError::UnknownObject)?;
    let body = object
        .body()
        .ok_or(EdgeError::UnknownObject)?
        .response_body()?;
    let headers = immutable_headers(&tag)?;
    headers.set("content-length", &object.size().to_string())?;
    Ok(ResponseBuilder::new().with_headers(headers).body(body))
}

async fn describe(env: &Env, digest: Digest) -> Result<Response, EdgeError> {
    length(env, digest).await?.ok_or(EdgeError::UnknownObject)?;
    let headers = immutable_headers(&format!("\"{digest}\""))?;
    Ok(ResponseBuilder::new().with_headers(headers).empty())
}

async fn receive(request: &mut Request, env: &Env, digest: Digest) -> Result<Response, EdgeError> {
    limits::declared_length(request, OBJECT_MAX_BYTES)?;
    let body = request.inner().body().ok_or(EdgeError::LengthRequired)?;
    bucket(env)?
        .put(digest.to_string(), body)
        .sha256(digest.as_bytes().to_vec())
        .execute()
        .await
        .map_err(|error| {
            let text = error.to_string();
            if text.contains(R2_BAD_DIGEST) {
                EdgeError::WrongDigest
            } else {
                EdgeError::Fault(text)
            }
        })?;
    Ok(Response::empty()?)
}

fn immutable_headers(tag: &str) -> Result<Headers, EdgeError> {
    let headers = Headers::new();
    headers.set("content-type", "application/octet-stream")?;
    headers.set("cache-control", "public, max-age=31536000, immutable")?;
    headers.set("etag", tag)?;
    // Public bytes, named by their digest: pages of other origins under COEP may embed them.
    headers.set("cross-origin-resource-policy", "cross-origin")?;
    Ok(headers)
}

fn bucket(env: &Env) -> Result<Bucket, EdgeError> {
    Ok(env.bucket(BUCKET)?)
}
