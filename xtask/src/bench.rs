//! `cargo xtask bench`: training steps in Chromium, beside other libraries' if asked for, and what a
//! round of the secure sum costs.

pub(crate) mod endurance;
mod generation;
mod kernels;
mod live;
mod python;
mod secure_sum;
pub(crate) mod train;

use crate::Files;
use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use lexopt::Parser;

/// Runs the bench that the words name.
///
/// # Errors
/// `Usage` where there is no such bench, else whatever it fails with.
pub(crate) fn run(paths: &Paths, arguments: &mut Parser) -> Outcome<()> {
    if let Some(options) = live::asked(arguments)? {
        return live::run(paths, &options);
    }
    if let Some(options) = endurance::asked(arguments)? {
        return endurance::run(paths, &options);
    }
    if let Some(files) = generation::asked(arguments)? {
        return generation::run(paths, &files);
    }
    if let Some(options) = kernels::asked(arguments)? {
        return kernels::run(paths, &options);
    }
    if let Some(options) = train::asked(arguments)? {
        return train::run(paths, &options);
    }
    let files = Files::read(arguments)?;
    if files.words() == ["secure-sum"] {
        return secure_sum::run(paths, &files);
    }
    Err(Failure::Usage(
        "the benches there are: `train`, `train --peers`, `kernels`, `generation`, `endurance`, `secure-sum` and `secure-sum --live`"
            .to_owned(),
    ))
}

/// Whether what is left of the command line names this bench: by its first word, or by an option
/// anywhere.
fn names(arguments: &Parser, name: &str) -> bool {
    let mut rest = arguments.clone();
    rest.try_raw_args().is_some_and(|mut rest| {
        if name.starts_with('-') {
            rest.any(|argument| argument == name)
        } else {
            rest.next().is_some_and(|word| word == name)
        }
    })
}
