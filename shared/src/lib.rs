//! Choir's protocol, without a network, a clock or randomness of its own.
//!
//! In scope: what travels ([`wire`], [`messages`], [`control`], [`report`]), what a task is
//! ([`task`]), how an update becomes integers ([`update`], [`rotation`], [`fixed_point`], [`noise`]),
//! how integers become masked ([`secure_sum`]), and both sides of a round as sans-IO state machines
//! ([`round`]); and the sum by two aggregators ([`two_aggregators`]).
//!
//! Out of scope: sockets, storage, training. Time, entropy and bytes come in as arguments; what to
//! send, store and when to wake come out as effects.
//!
//! The secure sum is FLSA-1, for cohorts of 3 to 1,000 clients.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod control;
pub mod dp;
pub mod entropy;
pub mod fixed_point;
pub mod ids;
pub mod kat;
#[cfg(feature = "test-util")]
pub mod leak;
pub mod messages;
pub mod noise;
pub mod policy;
pub mod reject;
pub mod report;
pub mod rotation;
pub mod round;
pub mod secure_sum;
#[cfg(feature = "test-util")]
pub mod sim;
pub mod strategy;
pub mod task;
pub mod two_aggregators;
pub mod update;
pub mod wire;
