//! What the command line asks of the training bench.

use super::workload::{ENCODER, Precision, Workload};
use crate::failure::{Failure, Outcome};
use crate::usage;
use lexopt::{Arg, Parser, ValueExt};
use std::path::PathBuf;

/// What is measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Every one where none is named.
    pub(super) workload: Option<String>,
    /// Other libraries too.
    pub(super) peers: bool,
    /// Only rows whose name has this in it.
    pub(super) only: Option<String>,
    /// Fewer steps.
    pub(super) quick: bool,
    /// Of our frozen matrices.
    pub(super) precision: Precision,
    /// Of the rows' order.
    pub(super) seed: Option<u64>,
    pub(super) json: Option<PathBuf>,
    pub(super) svg: Option<PathBuf>,
    /// Neither set up nor build.
    pub(super) as_built: bool,
}

/// The bench's options, where the next word on the command line is `train`.
///
/// # Errors
/// `Usage` for what makes no sense.
pub(crate) fn asked(arguments: &Parser) -> Outcome<Option<Options>> {
    if !super::super::names(arguments, "train") {
        return Ok(None);
    }
    let mut options = Options::default();
    options.read(&mut arguments.clone()).map_err(usage)?;
    options.check()?;
    Ok(Some(options))
}

impl Options {
    fn read(&mut self, arguments: &mut Parser) -> Result<(), lexopt::Error> {
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Value(word) if word == "train" => {}
                Arg::Long("workload") => self.workload = Some(arguments.value()?.parse()?),
                Arg::Long("peers") => self.peers = true,
                Arg::Long("only") => self.only = Some(arguments.value()?.parse()?),
                Arg::Long("quick") => self.quick = true,
                Arg::Long("quant") => {
                    self.precision = arguments.value()?.parse_with(Precision::named)?
                }
                Arg::Long("seed") => self.seed = Some(arguments.value()?.parse()?),
                Arg::Long("json") => self.json = Some(arguments.value()?.into()),
                Arg::Long("svg") => self.svg = Some(arguments.value()?.into()),
                Arg::Long("as-built") => self.as_built = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    }

    fn check(&self) -> Outcome<()> {
        if self.workloads().is_empty() {
            return Err(Failure::Usage(
                "--workload is decoder, encoder or all".to_owned(),
            ));
        }
        if self.precision != Precision::F32 && self.workload.as_deref() != Some(ENCODER.name) {
            return Err(Failure::Usage(
                "--quant is for --workload encoder".to_owned(),
            ));
        }
        Ok(())
    }

    /// The workloads to run.
    pub(super) fn workloads(&self) -> Vec<&'static Workload> {
        let named = self.workload.as_deref().unwrap_or("all");
        Workload::ALL
            .into_iter()
            .filter(|workload| named == "all" || named == workload.name)
            .collect()
    }
}
