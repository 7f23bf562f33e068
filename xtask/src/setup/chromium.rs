//! A Chromium for the headless demo and the tests.

use super::debian;
use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names under which browsers of this family are installed.
const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
];

/// A program of `e2e/` on Node, told which browser there is.
pub(crate) fn script(paths: &Paths, name: &str) -> Command {
    let mut node = Command::new("node");
    node.current_dir(paths.root.join("e2e")).arg(name);
    if let Some(chrome) = find(paths) {
        node.env("CHROME", chrome);
    }
    node
}

/// Finds a browser, or installs Debian's where that is possible.
///
/// # Errors
/// `Missing` with what to do.
pub(super) fn ensure(paths: &Paths) -> Outcome<()> {
    let step = Step::start("Chromium");
    if let Some(browser) = find(paths) {
        step.done(&browser.display().to_string());
        return Ok(());
    }
    if debian::may_install() {
        debian::install(&step, &["chromium"])?;
        if find(paths).is_some() {
            step.done("installed");
            return Ok(());
        }
    }
    Err(Failure::Missing {
        what: "Chromium or Chrome".to_owned(),
        remedy: "Install one, name one by the variable CHROME, or run \
                 `npx playwright-core install chromium` in e2e/."
            .to_owned(),
    })
}

/// `CHROME`, else an installed browser, else Playwright's own.
pub(crate) fn find(paths: &Paths) -> Option<PathBuf> {
    if let Some(named) = env::var_os("CHROME").map(PathBuf::from) {
        return named.exists().then_some(named);
    }
    let folders: Vec<PathBuf> =
        env::var_os("PATH").map_or_else(Vec::new, |path| env::split_paths(&path).collect());
    let on_path = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|browser| browser.is_file());
    let mac = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
    on_path
        .or_else(|| mac.is_file().then_some(mac))
        .or_else(|| of_playwright(&paths.root))
}

fn of_playwright(root: &Path) -> Option<PathBuf> {
    let script = "import('playwright-core').then(p => console.log(p.chromium.executablePath()))";
    let output = Command::new("node")
        .current_dir(root.join("e2e"))
        .args(["-e", script])
        .output()
        .ok()?;
    let browser = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    browser.is_file().then_some(browser)
}
