//! Which tasks there are, kept by the object that also names the site's task.

use choir_shared::ids::TaskId;
use choir_shared::report::TaskList;
use choir_shared::wire;
use worker::{Env, Response};

use super::{TaskObject, stored};
use crate::error::EdgeError;
use crate::internal;
use crate::limits::LISTED_TASKS;

/// Name of the stored list.
const TASKS: &str = "tasks";

/// Serves `GET /v1/tasks`, as JSON.
///
/// # Errors
/// See [`EdgeError`].
pub async fn list(env: &Env) -> Result<Response, EdgeError> {
    let list = TaskList {
        tasks: tasks(env).await?,
    };
    Ok(Response::from_json(&list)?)
}

/// The tasks there are, in the order of their creation.
///
/// # Errors
/// See [`EdgeError`].
pub async fn tasks(env: &Env) -> Result<Vec<TaskId>, EdgeError> {
    let list: TaskList = internal::ask(&internal::site(env)?, internal::LISTED, &()).await?;
    Ok(list.tasks)
}

impl TaskObject {
    /// Adds a task to the list, once; above the limit the oldest goes.
    pub(super) fn take_into_list(&self, task: TaskId) -> Result<Response, EdgeError> {
        let mut list = self.listed()?;
        if !list.tasks.contains(&task) {
            list.tasks.push(task);
            let surplus = list.tasks.len().saturating_sub(LISTED_TASKS);
            list.tasks.drain(..surplus);
            let store = self.store();
            store.create()?;
            store.put(TASKS, &wire::encode(&list))?;
        }
        internal::answer(&())
    }

    pub(super) fn listed(&self) -> Result<TaskList, EdgeError> {
        let store = self.store();
        if !store.exists()? {
            return Ok(TaskList::default());
        }
        store
            .value(TASKS)?
            .map_or_else(|| Ok(TaskList::default()), |bytes| stored(&bytes))
    }
}
