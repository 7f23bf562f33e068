//! A language model in pages of real Chromium, one for each engine (`e2e/bench/language.mjs`).

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::{program, setup};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fs;

/// What pages are to do.
pub(crate) struct Plan<'a> {
    /// Names the plan's file.
    pub(crate) name: &'a str,
    /// Folders to serve, by the first part of their address.
    pub(crate) folders: Value,
    /// Below `e2e/bench`; its `evaluate` runs in each page.
    pub(crate) script: &'a str,
    pub(crate) engines: &'a [&'a str],
    /// What `evaluate` is given.
    pub(crate) options: Value,
}

impl Plan<'_> {
    /// What each page says, in the order of the engines.
    ///
    /// # Errors
    /// `Program` where the browser fails, `Data` where what a page says cannot be read, `Check` where
    /// one says nothing.
    pub(crate) fn run<T: DeserializeOwned>(&self, paths: &Paths, step: &Step) -> Outcome<Vec<T>> {
        let plan = json!({
            "folders": self.folders,
            "script": format!("/bench/{}", self.script),
            "engines": self.engines,
            "options": self.options,
        });
        let file = paths.out.join(format!("{}.plan.json", self.name));
        fs::write(&file, plan.to_string()).at(&file)?;
        let mut script = setup::browser_script(paths, "bench/language.mjs");
        script.arg(&file);
        let printed = program::run(step, &mut script)?;
        let read =
            |line| serde_json::from_str(line).map_err(|error| Failure::Data(error.to_string()));
        let lines = printed.lines().filter(|line| line.starts_with('{'));
        let found = lines.map(read).collect::<Outcome<Vec<T>>>()?;
        if found.len() != self.engines.len() {
            let complaint = format!("{} of {} engines ran", found.len(), self.engines.len());
            return Err(Failure::Check(complaint));
        }
        Ok(found)
    }
}
