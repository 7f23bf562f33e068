//! What the command line asks of the kernel bench.

use crate::failure::Outcome;
use crate::usage;
use lexopt::{Arg, Parser, ValueExt};
use std::path::PathBuf;

/// What is measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Only this workload.
    pub(super) workload: Option<String>,
    /// Fewer rounds.
    pub(super) quick: bool,
    pub(super) json: Option<PathBuf>,
    /// Neither set up nor build.
    pub(super) as_built: bool,
}

/// The bench's options, where the next word on the command line is `kernels`.
///
/// # Errors
/// `Usage` for what makes no sense.
pub(in super::super) fn asked(arguments: &Parser) -> Outcome<Option<Options>> {
    if !super::super::names(arguments, "kernels") {
        return Ok(None);
    }
    let mut options = Options::default();
    options.read(&mut arguments.clone()).map_err(usage)?;
    Ok(Some(options))
}

impl Options {
    fn read(&mut self, arguments: &mut Parser) -> Result<(), lexopt::Error> {
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Value(word) if word == "kernels" => {}
                Arg::Long("workload") => {
                    self.workload = Some(arguments.value()?.parse_with(named)?);
                }
                Arg::Long("quick") => self.quick = true,
                Arg::Long("json") => self.json = Some(arguments.value()?.into()),
                Arg::Long("as-built") => self.as_built = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    }
}

fn named(name: &str) -> Result<String, String> {
    if ["decoder", "encoder"].contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("{name} is neither decoder nor encoder"))
}
