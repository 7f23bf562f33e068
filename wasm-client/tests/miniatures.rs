//! Small models of every architecture against what transformers and PEFT compute with them
//! (`miniatures/make.py`): logits, loss, gradients of LoRA, PEFT's files both ways. On engine *cpu*,
//! and the same on engine *wgsl* where there is a device.
#![cfg(all(feature = "cpu", feature = "wgsl"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "miniatures/case.rs"]
mod case;
#[path = "miniatures/decoders.rs"]
mod decoders;
#[path = "miniatures/encoders.rs"]
mod encoders;
#[path = "miniatures/preferences.rs"]
mod preferences;
#[path = "miniatures/virtual_tokens.rs"]
mod virtual_tokens;
