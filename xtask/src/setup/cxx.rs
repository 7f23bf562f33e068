//! A C++ compiler, which libFuzzer is built with.

use super::debian;
use crate::failure::{Failure, Outcome};
use crate::program;
use crate::progress::Step;
use std::env;

/// Looks for a compiler and installs one where that is possible.
///
/// # Errors
/// `Missing` without one.
pub(crate) fn ensure() -> Outcome<()> {
    let step = Step::start("C++ compiler");
    if env::var_os("CXX").is_some() || program::exists("c++") {
        step.done("there");
        return Ok(());
    }
    if debian::may_install() && debian::install(&step, &["g++"]).is_ok() {
        step.done("installed");
        return Ok(());
    }
    Err(Failure::Missing {
        what: "a C++ compiler".to_owned(),
        remedy: "libFuzzer is built with one: install g++ or clang, or name one in CXX.".to_owned(),
    })
}
