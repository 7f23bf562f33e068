//! What JavaScript sees. These are the only files that name `JsValue`.
//!
//! Typed values cross by serde, in camelCase; errors are objects `{code, message}` whose code a
//! page can switch on. Nothing here opens a connection: bytes come in, effects go out, and the SDK
//! carries them.

use wasm_bindgen::prelude::wasm_bindgen;

#[cfg(feature = "chat")]
mod chat;
#[cfg(any(feature = "wgsl", feature = "cpu", feature = "burn"))]
mod clock;
#[cfg(feature = "burn-wgpu")]
mod constructors;
#[cfg(any(feature = "wgsl", feature = "cpu", feature = "burn"))]
mod device;
#[cfg(feature = "protocol")]
mod entropy;
#[cfg(feature = "protocol")]
mod epsilon;
mod error;
#[cfg(feature = "protocol")]
mod hash;
#[cfg(all(feature = "protocol", feature = "observe"))]
mod known_answers;
#[cfg(any(feature = "wgsl", feature = "cpu"))]
mod language_model;
#[cfg(any(feature = "wgsl", feature = "cpu"))]
mod language_task;
#[cfg(any(feature = "wgsl", feature = "cpu"))]
mod llama2c_tokenizer;
#[cfg(any(feature = "wgsl", feature = "cpu", feature = "burn"))]
mod measure;
#[cfg(feature = "chat")]
mod memory_limit;
#[cfg(feature = "protocol")]
mod participation;
#[cfg(any(feature = "wgsl", feature = "cpu"))]
mod passages;
#[cfg(any(feature = "wgsl", feature = "cpu", feature = "burn"))]
mod plan;
#[cfg(all(feature = "cpu", not(feature = "wgsl")))]
mod portions;
#[cfg(feature = "rehearsal")]
mod rehearsal;
#[cfg(feature = "protocol")]
mod report;
#[cfg(feature = "protocol")]
mod status;
#[cfg(any(feature = "wgsl", feature = "cpu", feature = "burn"))]
mod trainer;
#[cfg(any(feature = "wgsl", feature = "cpu", feature = "burn"))]
mod workload;

#[cfg(feature = "chat")]
pub use chat::{ChatError, read_chat_files, render_chat};
#[cfg(feature = "protocol")]
pub use epsilon::epsilon;
pub use error::ApiError;
#[cfg(feature = "protocol")]
pub use hash::StreamHash;
#[cfg(all(feature = "protocol", feature = "observe"))]
pub use known_answers::{known_answers, round_parameters};
#[cfg(any(feature = "wgsl", feature = "cpu"))]
pub use language_model::LanguageModel;
#[cfg(any(feature = "wgsl", feature = "cpu"))]
pub use language_task::LanguageTrainer;
#[cfg(any(feature = "wgsl", feature = "cpu"))]
pub use llama2c_tokenizer::Llama2cTokenizer;
#[cfg(any(feature = "wgsl", feature = "cpu", feature = "burn"))]
pub use measure::measure_product;
#[cfg(feature = "protocol")]
pub use participation::Participation;
#[cfg(any(feature = "wgsl", feature = "cpu"))]
pub use passages::pack_passages;
#[cfg(feature = "rehearsal")]
pub use rehearsal::{AggregatorRehearsal, ClientRehearsal, add_mask};
#[cfg(feature = "protocol")]
pub use report::Report;
#[cfg(feature = "protocol")]
pub use status::{decode_site_status, decode_task_status, subtract};
#[cfg(any(feature = "wgsl", feature = "cpu", feature = "burn"))]
pub use trainer::Trainer;
#[cfg(any(feature = "wgsl", feature = "cpu", feature = "burn"))]
pub use workload::DecoderWorkload;

/// Runs once when the module is loaded: a panic is told on the console before it ends the module.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
    #[cfg(feature = "burn-wgpu")]
    constructors::run();
}
