//! Choir's edge worker: carries bytes, keeps state.
//!
//! In scope: HTTP and WebSocket routes, the operator's bearer secret, storage in Durable Objects
//! and R2, alarms for deadlines. Every decision of a round is made by
//! [`choir_shared::round::aggregator`]; here an event is decoded, handed to the round, its effects
//! are stored and then answered.
//!
//! | module | what |
//! |---|---|
//! | [`router`] | public routes, headers of every answer, allowed origins |
//! | [`config`] | whether the deployment gave the worker all that it needs |
//! | [`auth`] | the operator's secret |
//! | [`metrics`] | figures of every task, for Prometheus |
//! | [`objects`] | models and adapters in R2, named by their SHA-256 |
//! | [`task_object`] | a task: its version, its current round, its history |
//! | [`round_object`] | one round of one cohort |
//! | [`lane_object`] | a range of coordinates of a round's masks |
//! | [`report_object`] | one round of a task with two aggregators: the leader |
//! | [`helper_object`] | the batches of such a task, at another deployment: the helper |
//! | [`publish`] | from a sum to the next version |
//! | [`in_flight`] | room for uploads |
//! | [`internal`] | what these say to each other |
//! | [`store`] | named values in SQLite |
//! | [`error`] | refusals and faults to HTTP, one table |
//! | [`limits`] | every limit with its arithmetic |

pub mod auth;
pub mod clock;
pub mod config;
pub mod ending;
pub mod error;
#[expect(missing_docs, reason = "methods that the object macro writes")]
pub mod helper_object;
pub mod in_flight;
pub mod internal;
#[expect(missing_docs, reason = "methods that the object macro writes")]
pub mod lane_object;
pub mod limits;
pub mod metrics;
pub mod objects;
pub mod publish;
#[expect(missing_docs, reason = "methods that the object macro writes")]
pub mod report_object;
#[expect(missing_docs, reason = "methods that the object macro writes")]
pub mod round_object;
pub mod router;
pub mod store;
#[expect(missing_docs, reason = "methods that the object macro writes")]
pub mod task_object;

use worker::{Context, Env, Request, Response, event};

/// Once for each instance of the module: a panic is logged before it traps.
#[event(start)]
fn start() {
    console_error_panic_hook::set_once();
}

/// Every request enters here.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    router::route(request, &env).await
}
