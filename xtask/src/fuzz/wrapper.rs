//! This program in place of rustc: the members of the workspace are compiled with libFuzzer's
//! instrumentation, what they depend on without, because counting the branches of field arithmetic
//! costs half of the speed and finds nothing.
//!
//! The flags are LLVM's own passes and no unstable option: SanitizerCoverage, see
//! clang.llvm.org/docs/SanitizerCoverage.html.

use std::env;
use std::process::{Command, ExitCode};

/// Set where this program is to act as rustc.
pub(super) const VARIABLE: &str = "CHOIR_FUZZ_RUSTC";

/// Edges counted in inline counters, their table, and operands of comparisons.
const FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Compiles, where cargo has started this program as the wrapper of rustc.
pub(crate) fn as_rustc() -> Option<ExitCode> {
    env::var_os(VARIABLE)?;
    let mut arguments = env::args_os().skip(1);
    let status = Command::new(arguments.next()?)
        .args(arguments)
        .args(FLAGS)
        .status();
    Some(match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("rustc could not be started: {error}");
            ExitCode::FAILURE
        }
    })
}
