//! The program with all targets, built and started.

use super::wrapper;
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::{program, setup};
use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The built program and its folders.
pub(super) struct Engine {
    program: PathBuf,
    /// The corpus in the tree.
    corpus: PathBuf,
    /// What searches found.
    found: PathBuf,
    crashes: PathBuf,
}

/// What a search of one target came to.
#[derive(Debug)]
pub(super) struct Searched {
    pub(super) target: String,
    executions: u64,
    per_second: u64,
    corpus: u64,
    edges: u64,
    new_edges: u64,
    /// The input that breaks the target, and what it said.
    crash: Option<(PathBuf, String)>,
}

impl Engine {
    /// Builds it, instrumented.
    ///
    /// # Errors
    /// `Missing` without a C++ compiler, `Program` where it does not compile.
    pub(super) fn build(paths: &Paths) -> Outcome<Self> {
        setup::ensure_cxx()?;
        let step = Step::start("fuzz targets");
        let own = env::current_exe().at(Path::new("xtask"))?;
        let mut build = program::cargo(&paths.root);
        build.args(["build", "--package", "choir-fuzz", "--profile", "fuzz"]);
        build.args(["--features", "libfuzzer", "--bin", NAME]);
        build
            .env("RUSTC_WORKSPACE_WRAPPER", own)
            .env(wrapper::VARIABLE, "1");
        program::run(&step, &mut build)?;
        step.done("");
        let engine = Self {
            program: paths.target.join("fuzz").join(NAME),
            corpus: paths.root.join("shared/fuzz/corpus"),
            found: paths.out.join("fuzz/found"),
            crashes: paths.out.join("fuzz/crashes"),
        };
        fs::create_dir_all(&engine.crashes).at(&engine.crashes)?;
        Ok(engine)
    }

    /// The names of all targets: those of the corpora in the tree.
    ///
    /// # Errors
    /// `File` where the corpus cannot be read.
    pub(super) fn targets(&self) -> Outcome<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.corpus).at(&self.corpus)? {
            let name = entry.at(&self.corpus)?.file_name();
            names.push(name.to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Runs one target on one input.
    ///
    /// # Errors
    /// `Check` with what it says where it does not hold.
    pub(super) fn replay(&self, target: &str, input: &Path) -> Outcome<()> {
        fs::metadata(input).at(input)?;
        let (holds, said) = self.start(target, |command| command.arg(input))?;
        if holds {
            return Ok(());
        }
        Err(Failure::Check(said))
    }

    /// Searches for so many seconds.
    ///
    /// # Errors
    /// `Missing` or `File` where it cannot be started; an input that breaks the target is no error
    /// here.
    pub(super) fn search(&self, target: &str, seconds: u32, seed: u32) -> Outcome<Searched> {
        let found = self.found.join(target);
        fs::create_dir_all(&found).at(&found)?;
        let before = listing(&self.crashes)?;
        let mut prefix = self.crashes.join(target).into_os_string();
        prefix.push("-");
        let (holds, said) = self.start(target, |command| {
            let mut artifacts = std::ffi::OsString::from("-artifact_prefix=");
            artifacts.push(&prefix);
            command
                .env("CHOIR_FUZZ_SEEDS", &found)
                .args([&found, &self.corpus.join(target)])
                .arg(format!("-max_total_time={seconds}"))
                .arg(format!("-seed={seed}"))
                .arg(artifacts)
                .args(["-print_final_stats=1", "-timeout=30", "-rss_limit_mb=2048"])
        })?;
        let after = listing(&self.crashes)?;
        let crash = after
            .into_iter()
            .find(|file| !before.contains(file) && named_after(file, target));
        let edges = number_after(&said, "DONE", "cov:");
        Ok(Searched {
            target: target.to_owned(),
            executions: number_after(&said, "stat::number_of_executed_units:", ""),
            per_second: number_after(&said, "stat::average_exec_per_sec:", ""),
            corpus: number_after(&said, "DONE", "corp:"),
            edges,
            new_edges: edges.saturating_sub(number_after(&said, "INITED", "cov:")),
            crash: (!holds).then(|| (crash.unwrap_or_default(), said)),
        })
    }

    /// Minimises what was found, and the corpus in the tree, into the tree: few inputs that together
    /// reach every edge.
    ///
    /// # Errors
    /// `Check` where an input breaks the target, `File` where the tree cannot be written.
    pub(super) fn keep(&self, target: &str) -> Outcome<()> {
        let step = Step::start(format!("keeping the corpus of {target}"));
        let (kept, tree) = (self.found.join(".kept"), self.corpus.join(target));
        if kept.exists() {
            fs::remove_dir_all(&kept).at(&kept)?;
        }
        fs::create_dir_all(&kept).at(&kept)?;
        let (holds, said) = self.start(target, |command| {
            command
                .args(["-set_cover_merge=1", "-use_counters=0"])
                .args([&kept, &self.found.join(target), &tree])
        })?;
        if !holds {
            return Err(Failure::Check(said));
        }
        fs::remove_dir_all(&tree).at(&tree)?;
        fs::create_dir_all(&tree).at(&tree)?;
        let inputs = listing(&kept)?;
        step.detail(format!("{} inputs", inputs.len()));
        for file in &inputs {
            fs::copy(file, tree.join(file.file_name().unwrap_or_default())).at(file)?;
        }
        step.done(&format!("{} inputs", inputs.len()));
        Ok(())
    }

    /// Starts it to its end; whether it ended well, and everything that it said.
    fn start(
        &self,
        target: &str,
        arguments: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Outcome<(bool, String)> {
        let mut command = Command::new(&self.program);
        command
            .env("CHOIR_FUZZ_TARGET", target)
            .stdin(Stdio::null());
        let output = arguments(&mut command)
            .output()
            .map_err(|error| program::cannot_start(NAME, &error))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status.success(), said))
    }
}

impl Searched {
    /// Where an input breaks the target: which, what was said, and how to see it again.
    pub(super) fn broken(&self) -> Option<String> {
        let (file, said) = self.crash.as_ref()?;
        let told: Vec<&str> = said
            .lines()
            .filter(|line| !line.starts_with('#') && !line.starts_with("INFO"))
            .take(SHOWN_LINES)
            .collect();
        Some(format!(
            "{}\n\nagain: cargo xtask fuzz --target {} --replay {}",
            told.join("\n"),
            self.target,
            file.display()
        ))
    }
}

impl fmt::Display for Searched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:<20} {:>10} executions {:>7}/s {:>6} inputs {:>6} edges, {} new{}",
            self.target,
            self.executions,
            self.per_second,
            self.corpus,
            self.edges,
            self.new_edges,
            if self.crash.is_some() { ", BROKEN" } else { "" }
        )
    }
}

fn listing(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).at(folder)? {
        files.push(entry.at(folder)?.path());
    }
    files.sort();
    Ok(files)
}

fn named_after(file: &Path, target: &str) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix(target)
        .is_some_and(|rest| rest.starts_with('-'))
}

/// The number after `word`, or after the line's start, in the last line that has `line`.
fn number_after(said: &str, line: &str, word: &str) -> u64 {
    said.lines()
        .rev()
        .find_map(|text| text.split_once(line))
        .and_then(|(_, rest)| rest.split_once(word))
        .map(|(_, rest)| rest.trim_start())
        .map(|rest| rest.split(|digit: char| !digit.is_ascii_digit()))
        .and_then(|mut words| words.next()?.parse().ok())
        .unwrap_or_default()
}

const NAME: &str = "choir-fuzz";
const SHOWN_LINES: usize = 40;

#[cfg(test)]
mod tests {
    use super::{named_after, number_after};
    use std::path::Path;

    #[test]
    fn numbers_are_read_from_what_libfuzzer_says() {
        let said = "#8\tINITED cov: 121 ft: 144 corp: 3/478b exec/s: 0 rss: 29Mb\n\
            #962819\tDONE   cov: 323 ft: 557 corp: 201/17Kb lim: 4200\n\
            stat::number_of_executed_units: 962819\n";
        assert_eq!(number_after(said, "INITED", "cov:"), 121);
        assert_eq!(number_after(said, "DONE", "corp:"), 201);
        assert_eq!(
            number_after(said, "stat::number_of_executed_units:", ""),
            962_819
        );
        assert_eq!(number_after(said, "PULSE", "cov:"), 0);
    }

    #[test]
    fn a_crash_belongs_to_the_target_whose_name_it_bears() {
        assert!(named_after(Path::new("/a/report-crash-1"), "report"));
        assert!(!named_after(Path::new("/a/report_json-crash-1"), "report"));
    }
}
