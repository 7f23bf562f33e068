//! `cargo xtask bench`: training steps in Chromium, beside other libraries' if asked for, and what a
//! round of the secure sum costs.

pub(crate) mod endurance;
mod live;
mod secure_sum;
mod train;

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
    if let Some(options) = train::asked(arguments)? {
        return train::run(paths, &options);
    }
    let files = Files::read(arguments)?;
    if files.words() == ["secure-sum"] {
        return secure_sum::run(paths, &files);
    }
    Err(Failure::Usage(
        "the benches there are: `train`, `train --peers`, `endurance`, `secure-sum` and `secure-sum --live`"
            .to_owned(),
    ))
}
