//! The operator's call that makes a task: everything is checked before the task's object hears of
//! it, so a task that exists is one that can run.

use choir_shared::control::CreateTask;
use choir_shared::ids::Digest;
use choir_shared::task::{AdapterLayout, TaskConfig};
use choir_shared::wire::{self, limits};
use worker::{Env, Request, Response};

use super::control;
use crate::error::EdgeError;
use crate::limits::TASK_MAX_ROUNDS;
use crate::{internal, objects};

/// Serves `POST /v1/tasks`.
///
/// # Errors
/// [`EdgeError::BadTask`] or [`EdgeError::BadObject`] for a task that could not run,
/// [`EdgeError::Conflict`] where another one has its name.
pub async fn create(request: Request, env: &Env) -> Result<Response, EdgeError> {
    let request: CreateTask = control(request).await?;
    request.config.check()?;
    if request.rounds > TASK_MAX_ROUNDS {
        return Err(EdgeError::Conflict("too-many-rounds"));
    }
    let values = AdapterLayout::new(&request.config)?.len();
    require_floats(env, request.adapter, values, "adapter").await?;
    if let Some(head) = request.config.frozen_head {
        require_floats(env, head, head_values(&request.config), "frozen_head").await?;
    }
    let stub = internal::task(env, request.task_id)?;
    let answer = internal::post(&stub, internal::CREATE, &wire::encode(&request)).await?;
    if answer.status_code() == 200 {
        // A call that fails here is repeated by the operator, and finds the task already there.
        internal::ask::<()>(&internal::site(env)?, internal::LIST, &request.task_id).await?;
    }
    Ok(answer)
}

/// A classifier's weight, `[dim, labels]`, and bias, `[labels]`.
fn head_values(config: &TaskConfig) -> usize {
    (config.base.shape.dim as usize + 1) * config.labels.len()
}

async fn require_floats(
    env: &Env,
    object: Digest,
    values: usize,
    name: &'static str,
) -> Result<(), EdgeError> {
    let expected = values as u64 * size_of::<f32>() as u64;
    match objects::length(env, object).await? {
        Some(length) if length == expected => Ok(()),
        _ => Err(EdgeError::BadObject(name)),
    }
}

const _: () = assert!(limits::OPERATOR_REQUEST >= limits::TASK_CONFIG);
