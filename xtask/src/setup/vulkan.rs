//! A Vulkan driver for the native tests of the WGSL kernels; without one they skip.

use super::debian;
use crate::failure::Outcome;
use crate::progress::Step;
use std::env;
use std::fs;

/// Folders where Vulkan drivers announce themselves.
const FOLDERS: [&str; 3] = [
    "/usr/share/vulkan/icd.d",
    "/etc/vulkan/icd.d",
    "/usr/local/share/vulkan/icd.d",
];

/// Looks for a driver and installs Mesa's where that is possible.
///
/// # Errors
/// None: without a driver the tests that need one are skipped.
pub(super) fn ensure() -> Outcome<()> {
    let step = Step::start("Vulkan driver");
    if driver() {
        step.done("there");
    } else if debian::may_install() && debian::install(&step, &["mesa-vulkan-drivers"]).is_ok() {
        step.done("installed");
    } else {
        step.skipped("none found, the native GPU tests will be skipped");
    }
    Ok(())
}

/// True where some driver is installed.
pub(crate) fn driver() -> bool {
    env::var_os("VK_ICD_FILENAMES").is_some()
        || FOLDERS
            .iter()
            .any(|folder| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()))
        || cfg!(target_os = "windows")
}
