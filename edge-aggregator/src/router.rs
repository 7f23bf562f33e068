//! Public routes, and what every answer carries.
//!
//! Durable Objects also know routes of their own for each other (see `internal`); nothing of a
//! public path is ever forwarded under one of those.

use choir_shared::ids::{Digest, RoundId, TaskId};
use worker::{Env, Headers, Method, Request, Response, ResponseBuilder};

use crate::auth::{require_operator, require_reader};
use crate::error::EdgeError;
use crate::{config, helper_object, metrics, objects, report_object, round_object, task_object};

/// Answers one request.
///
/// # Errors
/// Only if the runtime refuses to build an answer.
pub async fn route(request: Request, env: &Env) -> worker::Result<Response> {
    let origin = match Origin::of(&request, env) {
        Ok(origin) => origin,
        Err(refused) => return readable_by_all(refused.into_response()?),
    };
    if request.method() == Method::Options {
        return origin.mark(preflight()?);
    }
    let answer = match dispatch(request, env).await {
        Ok(answer) => answer,
        Err(error) => error.into_response()?,
    };
    origin.mark(answer)
}

async fn dispatch(request: Request, env: &Env) -> Result<Response, EdgeError> {
    config::require_complete(env)?;
    let path = request.path();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["health"] => {
            allow(&request, Method::Get, "GET")?;
            Ok(Response::ok("ok")?)
        }
        ["metrics"] => {
            allow(&request, Method::Get, "GET")?;
            require_reader(&request, env)?;
            metrics::serve(env).await
        }
        ["v1", "objects", digest] => {
            let digest: Digest = digest.parse().map_err(|_| EdgeError::UnknownObject)?;
            objects::serve(request, env, digest).await
        }
        ["v1", "site"] => {
            operator_unless_get(&request, env)?;
            task_object::forward_site(request, env).await
        }
        ["v1", "tasks"] => match request.method() {
            Method::Post => {
                require_operator(&request, env)?;
                task_object::create(request, env).await
            }
            Method::Get => {
                require_operator(&request, env)?;
                task_object::list(env).await
            }
            _ => Err(EdgeError::MethodNotAllowed("GET, POST")),
        },
        ["v1", "tasks", task] => {
            allow(&request, Method::Get, "GET")?;
            task_object::forward(request, env, task_id(task)?).await
        }
        ["v1", "tasks", task, "report"] => {
            allow(&request, Method::Get, "GET")?;
            require_operator(&request, env)?;
            task_object::forward(request, env, task_id(task)?).await
        }
        [
            "v1",
            "tasks",
            task,
            "start" | "stop" | "successor" | "evaluations",
        ] => {
            allow(&request, Method::Post, "POST")?;
            require_operator(&request, env)?;
            task_object::forward(request, env, task_id(task)?).await
        }
        ["v1", "tasks", _, "rounds", round] | ["v1", "tasks", _, "rounds", round, "socket"] => {
            allow(&request, Method::Get, "GET")?;
            round_object::forward(request, env, round_id(round)?).await
        }
        ["v1", "tasks", _, "rounds", round, "upload"] => {
            allow(&request, Method::Post, "POST")?;
            round_object::forward(request, env, round_id(round)?).await
        }
        ["v1", "tasks", _, "rounds", round, "reports"] => {
            get_or_post(&request)?;
            report_object::forward(request, env, round_id(round)?).await
        }
        ["v1", "helper", rest @ ..] => helper_object::route(request, env, rest).await,
        _ => Err(EdgeError::UnknownRoute),
    }
}

fn get_or_post(request: &Request) -> Result<(), EdgeError> {
    match request.method() {
        Method::Get | Method::Post => Ok(()),
        _ => Err(EdgeError::MethodNotAllowed("GET, POST")),
    }
}

pub(crate) fn task_id(hex: &str) -> Result<TaskId, EdgeError> {
    hex.parse().map_err(|_| EdgeError::UnknownTask)
}

fn round_id(hex: &str) -> Result<RoundId, EdgeError> {
    hex.parse().map_err(|_| EdgeError::UnknownRound)
}

pub(crate) fn allow(
    request: &Request,
    method: Method,
    name: &'static str,
) -> Result<(), EdgeError> {
    if request.method() == method {
        Ok(())
    } else {
        Err(EdgeError::MethodNotAllowed(name))
    }
}

fn operator_unless_get(request: &Request, env: &Env) -> Result<(), EdgeError> {
    match request.method() {
        Method::Get => Ok(()),
        Method::Put => require_operator(request, env),
        _ => Err(EdgeError::MethodNotAllowed("GET, PUT")),
    }
}

fn preflight() -> worker::Result<Response> {
    let headers = Headers::new();
    headers.set("access-control-allow-methods", "GET, HEAD, POST, PUT")?;
    headers.set(
        "access-control-allow-headers",
        "authorization, content-type",
    )?;
    headers.set("access-control-max-age", "86400")?;
    Ok(ResponseBuilder::new()
        .with_status(204)
        .with_headers(headers)
        .empty())
}

/// The page that a request comes from, where it comes from one.
enum Origin {
    /// No page, or a page of this very host.
    Own,
    /// A page whose origin the deployment allows.
    Allowed(String),
}

impl Origin {
    /// Browsers send `Origin` with every cross-origin request and with every WebSocket; a page that
    /// is neither ours nor on the list is refused before anything is read.
    fn of(request: &Request, env: &Env) -> Result<Self, EdgeError> {
        let Some(origin) = request.headers().get("origin")? else {
            return Ok(Self::Own);
        };
        let url = request.url()?;
        if origin == url.origin().ascii_serialization() {
            return Ok(Self::Own);
        }
        let list = env
            .var("ALLOWED_ORIGINS")
            .map(|list| list.to_string())
            .unwrap_or_default();
        if is_listed(&list, &origin) {
            Ok(Self::Allowed(origin))
        } else {
            Err(EdgeError::OriginNotAllowed)
        }
    }

    /// Adds the headers that every answer carries.
    fn mark(&self, answer: Response) -> worker::Result<Response> {
        if answer.status_code() == 101 {
            return Ok(answer);
        }
        // An answer of a Durable Object has immutable headers, hence the copy.
        let headers = answer.headers().clone();
        headers.set("x-content-type-options", "nosniff")?;
        headers.set(
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'",
        )?;
        headers.set("cross-origin-opener-policy", "same-origin")?;
        headers.set("cross-origin-embedder-policy", "require-corp")?;
        if !headers.has("cache-control")? {
            headers.set("cache-control", "no-store")?;
        }
        if let Self::Allowed(origin) = self {
            headers.set("access-control-allow-origin", origin)?;
            headers.set("cross-origin-resource-policy", "cross-origin")?;
        } else if !headers.has("cross-origin-resource-policy")? {
            headers.set("cross-origin-resource-policy", "same-origin")?;
        }
        headers.append("vary", "origin")?;
        Ok(answer.with_headers(headers))
    }
}

/// Lets a page of any origin read why it is refused, so that its owner learns what to do.
fn readable_by_all(refusal: Response) -> worker::Result<Response> {
    let headers = refusal.headers().clone();
    headers.set("access-control-allow-origin", "*")?;
    headers.set("cross-origin-resource-policy", "cross-origin")?;
    headers.set("cache-control", "no-store")?;
    headers.set("x-content-type-options", "nosniff")?;
    headers.append("vary", "origin")?;
    Ok(refusal.with_headers(headers))
}

/// Whether `origin` is one of the comma-separated origins of `list`.
fn is_listed(list: &str, origin: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|listed| !listed.is_empty() && listed == origin)
}

#[cfg(test)]
mod tests {
    use super::is_listed;

    #[test]
    fn only_whole_origins_are_listed() {
        let list = "https://a.example, https://b.example";
        assert!(is_listed(list, "https://a.example"));
        assert!(is_listed(list, "https://b.example"));
        assert!(!is_listed(list, "https://b.example.evil"));
        assert!(!is_listed(list, "https://b"));
        assert!(!is_listed("", ""));
    }
}
