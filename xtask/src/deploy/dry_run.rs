//! wrangler puts a deployment together without uploading it; its size is held against the platform's
//! limits.

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use crate::stamp::files_below;
use std::fs;
use std::process::Command;

/// The worker, compressed, on the smallest plan (10 MB on a paid one).
const WORKER_COMPRESSED_KIB: f64 = 3.0 * 1024.0;
/// The worker as it is.
const WORKER_KIB: f64 = 64.0 * 1024.0;
/// One file of the site.
const ASSET_BYTES: u64 = 25 << 20;
/// Files of the site on the smallest plan.
const ASSETS: usize = 20_000;

/// Tries each environment and prints the sizes.
///
/// # Errors
/// `Program` with wrangler's output, `Check` above a limit.
pub(super) fn run(paths: &Paths, environments: &[&str]) -> Outcome<()> {
    println!(
        "  {:<12} {:>12} {:>12}   limits: {} KiB compressed, {} KiB",
        "worker", "KiB", "compressed", WORKER_COMPRESSED_KIB, WORKER_KIB
    );
    for environment in environments {
        let step = Step::start(format!("wrangler deploy --dry-run, {environment}"));
        let printed = program::run(&step, &mut wrangler(paths, environment)?)?;
        let (whole, compressed) = sizes(&printed)
            .ok_or_else(|| Failure::Check(format!("wrangler told no size:\n{printed}")))?;
        step.done("");
        println!("  {environment:<12} {whole:>12.1} {compressed:>12.1}");
        if whole > WORKER_KIB || compressed > WORKER_COMPRESSED_KIB {
            return Err(Failure::Check(format!(
                "the worker is too large for {environment}: {whole} KiB, {compressed} KiB compressed"
            )));
        }
    }
    assets(paths)
}

fn wrangler(paths: &Paths, environment: &str) -> Outcome<Command> {
    let folder = paths.root.join("edge-aggregator");
    let program = folder.join("node_modules/.bin/wrangler");
    if !program.exists() {
        return Err(Failure::Missing {
            what: "wrangler".to_owned(),
            remedy: "Run `cargo xtask setup`.".to_owned(),
        });
    }
    let out = paths.out.join("deploy").join(environment);
    if out.exists() {
        fs::remove_dir_all(&out).at(&out)?;
    }
    fs::create_dir_all(&out).at(&out)?;
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .args(["deploy", "--dry-run"])
        .args([
            "--env",
            if environment == "dev" {
                ""
            } else {
                environment
            },
        ])
        .arg("--outdir")
        .arg(&out);
    // Nothing is asked of the network, and nothing is written outside of the outputs.
    for (name, value) in [
        ("CI", "1"),
        ("WRANGLER_SEND_METRICS", "false"),
        ("WRANGLER_HIDE_BANNER", "true"),
        ("NO_COLOR", "1"),
    ] {
        command.env(name, value);
    }
    command.env("XDG_CONFIG_HOME", paths.out.join("deploy/config"));
    Ok(command)
}

/// KiB as they are and compressed, from wrangler's line `Total Upload: 512.34 KiB / gzip: 180.12 KiB`.
fn sizes(printed: &str) -> Option<(f64, f64)> {
    let line = printed
        .lines()
        .find(|line| line.contains("Total Upload:"))?;
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

fn assets(paths: &Paths) -> Outcome<()> {
    let mut largest = (0, String::new());
    let site = paths.site(false);
    let files = files_below(&site)?;
    for file in &files {
        let bytes = fs::metadata(file).at(file)?.len();
        if bytes > largest.0 {
            let name = file.strip_prefix(&site).unwrap_or(file);
            largest = (bytes, name.display().to_string());
        }
    }
    println!(
        "  site: {} files of at most {ASSETS}, the largest {} with {} bytes of at most {ASSET_BYTES}",
        files.len(),
        largest.1,
        largest.0
    );
    if files.len() > ASSETS || largest.0 > ASSET_BYTES {
        return Err(Failure::Check("the site is too large".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::sizes;

    #[test]
    fn wranglers_sizes_are_read_from_its_line() {
        let printed = "Attaching\nTotal Upload: 512.34 KiB / gzip: 180.12 KiB\nYour Worker has";
        assert_eq!(sizes(printed), Some((512.34, 180.12)));
        assert_eq!(sizes("nothing"), None);
    }
}
