//! Native clients: what a tab does, over sockets of their own. Train first, then join, then the next
//! round from the new version.
//!
//! The routes and the order of things are those of `docs/protocol.md` and of the SDK; everything
//! that a client decides is decided by [`choir_shared::round::ClientRound`]. Each client has its own
//! connections, its own data and its own secrets from the system's random source. Clients of one
//! process share the threads that train, and each of those holds the frozen weights once.

mod aggregator;
mod entropy;
mod error;
mod event;
mod life;
mod machine;
mod plan;
mod round;
mod socket;
mod training;
mod updates;
mod writing;

pub use error::ClientError;
pub use event::{Event, Told};
pub use life::Point;
pub use plan::{ClientPlan, Plan, Source};
