//! The other libraries, got on demand: from npm by the lock file of `e2e/peers`, bundled with the
//! script that trains the workloads on each; the graphs that onnxruntime-web trains from by a Python
//! package (`xtask/bench/ort_artifacts.py`). One that cannot be had is named, and the bench goes on.

mod ort;

use super::row::{Library, Spec};
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::stamp::Stamp;
use crate::{program, setup};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Folder of the package that they are dependencies of.
const PACKAGE: &str = "e2e/peers";

/// The libraries that some rows need.
pub(super) struct Rivals {
    /// Each is there, or why it is not.
    found: BTreeMap<Library, Result<(), String>>,
    /// Versions by npm package.
    versions: Value,
    modules: PathBuf,
    bundles: PathBuf,
    graphs: PathBuf,
}

impl Rivals {
    /// Installs what the rows need and is not there yet.
    pub(super) fn install(paths: &Paths, specs: &[Spec]) -> Self {
        let package = paths.root.join(PACKAGE);
        let mut rivals = Self {
            found: BTreeMap::new(),
            versions: versions(paths).unwrap_or_default(),
            modules: package.join("node_modules"),
            bundles: paths.out.join("peers"),
            graphs: paths.out.join("ort/graphs"),
        };
        let mut needed: Vec<Library> = specs.iter().map(|spec| spec.library).collect();
        needed.retain(|library| *library != Library::Choir);
        needed.sort_unstable();
        needed.dedup();
        if needed.is_empty() {
            return rivals;
        }
        let packages = said(paths, setup::ensure_npm_package(paths, PACKAGE));
        for library in needed {
            let ready = packages
                .clone()
                .and_then(|()| said(paths, rivals.prepare(paths, library)));
            rivals.found.insert(library, ready);
        }
        rivals
    }

    fn prepare(&self, paths: &Paths, library: Library) -> Outcome<()> {
        bundle(paths, script_name(library), &self.bundles)?;
        if library == Library::OrtWeb {
            ort::ensure_graphs(paths, &self.graphs)?;
        }
        Ok(())
    }

    /// The folders that their scripts load from.
    pub(super) fn folders(&self) -> Value {
        json!({
            "peers": self.bundles,
            "tfjs-wasm": self.modules.join("@tensorflow/tfjs-backend-wasm/dist"),
            "ort": self.modules.join("onnxruntime-web/dist"),
            "ort-graphs": self.graphs,
        })
    }

    /// The version of a library; ours is this project's.
    pub(super) fn version(&self, library: Library) -> String {
        let package = match library {
            Library::Choir => return env!("CARGO_PKG_VERSION").to_owned(),
            Library::JaxJs => "@jax-js/jax",
            Library::Tfjs => "@tensorflow/tfjs-core",
            Library::OrtWeb => "onnxruntime-web",
        };
        let version = self.versions[package].as_str();
        version.unwrap_or("unknown").to_owned()
    }

    /// A row's script in the page and what it is opened with.
    ///
    /// # Errors
    /// Why its library is not there.
    pub(super) fn script(&self, spec: &Spec) -> Result<(String, Value), String> {
        let missing = || Err("not installed".to_owned());
        self.found
            .get(&spec.library)
            .cloned()
            .unwrap_or_else(missing)?;
        let mut options = json!({
            "workload": spec.workload.name,
            "backend": spec.backend.name(),
        });
        match spec.library {
            Library::Tfjs => options["assets"] = json!("/tfjs-wasm/"),
            Library::OrtWeb => {
                options["runtime"] = json!("/ort/");
                options["graphs"] = json!("/ort-graphs/");
            }
            Library::Choir | Library::JaxJs => {}
        }
        let name = script_name(spec.library);
        Ok((format!("/peers/{name}/{name}.js"), options))
    }
}

const fn script_name(library: Library) -> &'static str {
    match library {
        Library::Choir => "choir",
        Library::JaxJs => "jaxjs",
        Library::Tfjs => "tfjs",
        Library::OrtWeb => "ortweb",
    }
}

/// The exact versions that the package asks for.
fn versions(paths: &Paths) -> Outcome<Value> {
    let file = paths.root.join(PACKAGE).join("package.json");
    let text = fs::read_to_string(&file).at(&file)?;
    let manifest: Value =
        serde_json::from_str(&text).map_err(|error| Failure::Data(error.to_string()))?;
    Ok(manifest["devDependencies"].clone())
}

fn bundle(paths: &Paths, name: &str, bundles: &std::path::Path) -> Outcome<()> {
    let step = Step::start(format!("bundle of {name}"));
    let package = paths.root.join(PACKAGE);
    let out = bundles.join(name);
    let stamp = Stamp::new(paths, &format!("bench-peers-{name}"))
        .input(&package.join("package-lock.json"))?
        .input(&package.join("bundle.mjs"))?
        .input(&package.join(format!("{name}.js")))?
        .input(&paths.root.join("e2e/bench/workload.js"))?;
    if stamp.is_fresh(&out.join(format!("{name}.js"))) {
        step.done("up to date");
        return Ok(());
    }
    if out.exists() {
        fs::remove_dir_all(&out).at(&out)?;
    }
    let mut node = Command::new("node");
    node.current_dir(&package);
    node.args(["bundle.mjs", name]).arg(&out);
    program::run(&step, &mut node)?;
    stamp.store()?;
    step.done("");
    Ok(())
}

/// A failure in few words, for results that are read elsewhere: its first line and its last, paths
/// from the checkout on.
fn said(paths: &Paths, outcome: Outcome<()>) -> Result<(), String> {
    outcome.map_err(|failure| {
        let root = format!("{}/", paths.root.display());
        let text = failure.to_string().replace(&root, "");
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let first = lines.next().unwrap_or_default().trim();
        match lines.next_back() {
            Some(last) => format!("not installed: {first}: {}", last.trim()),
            None => format!("not installed: {first}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_said_in_its_first_and_last_line() {
        let paths = Paths::find().expect("tests run in the checkout");
        let failure = Failure::Program {
            program: format!("npm ci {}/e2e", paths.root.display()),
            status: "exit status: 1".to_owned(),
            output: "much\nno network\n".to_owned(),
        };
        assert_eq!(
            said(&paths, Err(failure)),
            Err("not installed: `npm ci e2e` failed (exit status: 1): no network".to_owned())
        );
    }
}
