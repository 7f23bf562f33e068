//! The engines against each other and against another implementation of the encoder.
//!
//! Engine *burn* on the CPU is the reference: its gradients are burn's, not ours. The real weights
//! are read from the folder `CHOIR_MODEL`, or from the cache that the set-up fills; without them
//! their tests say that they are skipped.
#![allow(missing_docs, reason = "tests")]

mod candle;
mod case;
mod compare;
mod decoder;
mod gradients;
mod quantised;
mod reference;
mod safetensors_file;
mod workload;
