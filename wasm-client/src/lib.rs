//! Choir's tab: the frozen model, what is trained of it, two engines to train it on, and the API
//! that JavaScript sees.
//!
//! The transformer is written once ([`model`]) over the operations of [`engine::Engine`]. Engine
//! *wgsl* and engine *cpu* record those operations and replay them backwards
//! ([`engine::record`]); engine *burn* uses burn's autodiff and is the reference for the others.

pub mod adapter;
#[cfg(any(feature = "protocol", feature = "client"))]
pub mod answers;
#[cfg(target_arch = "wasm32")]
pub mod api;
#[cfg(feature = "attack")]
pub mod attack;
pub mod bench;
#[cfg(feature = "client")]
pub mod client;
pub mod engine;
#[cfg(feature = "evals")]
pub mod evals;
pub mod generate;
pub mod language;
pub mod metrics;
pub mod model;
#[cfg(feature = "native")]
pub mod native;
#[cfg(feature = "pretrain")]
pub mod pretrain;
#[cfg(feature = "rehearsal")]
pub mod rehearsal;
#[cfg(feature = "sim")]
pub mod sim;
pub mod train;
