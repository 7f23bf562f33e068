//! Around a language model: text to tokens and back, the choice of the next token, the formats of
//! examples and conversations, data sets of text, and how answers are scored.
//!
//! All of it computes on what it is given. Files, seeds and clocks are the caller's.

pub mod bits;
#[cfg(feature = "chat")]
pub mod chat;
pub mod comparisons;
pub mod dataset;
pub mod dpo;
pub(crate) mod draws;
pub mod instructions;
pub mod intervals;
pub mod llama2c;
mod message;
pub mod passages;
pub mod preferences;
pub mod rouge;
pub mod sampling;
pub mod speakers;
pub mod templates;

pub use message::Message;
