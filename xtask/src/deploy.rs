//! `cargo xtask deploy`: whether the edge worker can be deployed as `edge-aggregator/wrangler.jsonc`
//! says, to dev, staging and production. Nothing is uploaded from here.

mod config;
mod dry_run;
mod jsonc;
mod origins;

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::{build, setup, usage};
use config::Facts;
use lexopt::{Arg, Parser, ValueExt};
use std::fs;

/// The environments, the first of which is the file's top level.
pub(crate) const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "production"];

/// Runs the command.
///
/// # Errors
/// `Usage`, or `Check` with everything that is wrong.
pub(crate) fn run(paths: &Paths, arguments: &mut Parser) -> Outcome<()> {
    let (mut only_check, mut dry_run, mut as_built, mut environment) = (false, false, false, None);
    while let Some(argument) = arguments.next().map_err(usage)? {
        match argument {
            Arg::Long("check") => only_check = true,
            Arg::Long("dry-run") => dry_run = true,
            Arg::Long("as-built") => as_built = true,
            Arg::Long("env") => {
                let name = arguments.value().and_then(|value| value.string());
                environment = Some(known(&name.map_err(usage)?)?);
            }
            other => return Err(usage(other.unexpected())),
        }
    }
    if only_check == dry_run {
        return Err(Failure::Usage(
            "deploy --check looks at the configuration, deploy --dry-run [--env E] also has wrangler \
             put everything together; to upload it, run `npx wrangler deploy --env production` in \
             edge-aggregator/"
                .to_owned(),
        ));
    }
    let step = Step::start("deployment configuration");
    check(paths)?;
    step.done(&ENVIRONMENTS.join(", "));
    if only_check {
        return Ok(());
    }
    if !as_built {
        setup::run(paths)?;
        build::run(paths, false)?;
    }
    let environments = environment.map_or_else(|| ENVIRONMENTS.to_vec(), |name| vec![name]);
    dry_run::run(paths, &environments)
}

/// Checks the configuration of every environment.
///
/// # Errors
/// `Check` with everything that is wrong.
pub(crate) fn check(paths: &Paths) -> Outcome<()> {
    let folder = paths.root.join("edge-aggregator");
    let read = |name: &str| {
        let file = folder.join(name);
        fs::read_to_string(&file).at(&file)
    };
    let text = read("wrangler.jsonc")?;
    let config = jsonc::parse(&text)
        .map_err(|error| Failure::Check(format!("edge-aggregator/wrangler.jsonc: {error}")))?;
    let facts = Facts::read(&read("shim.mjs")?, &read("dev/miniflare.mjs")?);
    let problems = config::problems(&config, &facts);
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::Check(format!(
        "edge-aggregator/wrangler.jsonc:\n  {}",
        problems.join("\n  ")
    )))
}

fn known(name: &str) -> Outcome<&'static str> {
    let found = ENVIRONMENTS.iter().find(|known| **known == name);
    found.copied().ok_or_else(|| {
        Failure::Usage(format!(
            "there is no environment `{name}`: {}",
            ENVIRONMENTS.join(", ")
        ))
    })
}
