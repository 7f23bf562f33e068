//! The npm package that site owners install, and the browser extension that embeds the same SDK,
//! by their build scripts in `web/`.

use crate::failure::Outcome;
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use crate::stamp::Stamp;
use std::process::Command;

/// What is built: its name for people, its build script, and its folder under `target/choir`.
const BUILDS: [(&str, &str, &str); 2] = [
    ("SDK package", "web/build_sdk.mjs", "sdk"),
    ("browser extension", "web/build_extension.mjs", "extension"),
];

/// Builds and packs the SDK, and builds the extension.
///
/// # Errors
/// `Program` with a script's messages.
pub(super) fn build(paths: &Paths) -> Outcome<()> {
    for (name, script, folder) in BUILDS {
        let out = paths.out.join(folder);
        let step = Step::start(name);
        let stamp = Stamp::new(paths, folder)
            .input(&paths.root.join("web"))?
            .input(&paths.out.join("wasm"))?;
        if stamp.is_fresh(&out) {
            step.done("up to date");
            continue;
        }
        let mut build = Command::new("node");
        build.current_dir(&paths.root).arg(script);
        build.arg("--wasm").arg(paths.out.join("wasm"));
        build.arg("--out").arg(&out);
        program::run(&step, &mut build)?;
        stamp.store()?;
        step.done("");
    }
    Ok(())
}
