//! The graphs that onnxruntime-web trains from: its gradients are made by a Python package, which
//! gets an environment of its own.

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use crate::stamp::Stamp;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = "onnxruntime-training-cpu==1.19.2";
/// What it needs of its requirements to make graphs.
const NEEDED: [&str; 5] = [
    "numpy>=1.26,<2",
    "onnx>=1.16,<1.17",
    "protobuf>=4.25,<6",
    "flatbuffers>=24,<25",
    "packaging>=24",
];

/// Makes the graphs of both workloads, once.
///
/// # Errors
/// `Program` where Python, pip or the script fails.
pub(super) fn ensure_graphs(paths: &Paths, graphs: &Path) -> Outcome<()> {
    let script = paths.root.join("xtask/bench/ort_artifacts.py");
    let stamp = Stamp::new(paths, "bench-ort-graphs")
        .input(&script)?
        .word(VERSION);
    let python = environment(paths)?;
    let step = Step::start("graphs for onnxruntime-web");
    if stamp.is_fresh(&graphs.join("encoder/checkpoint")) {
        step.done("up to date");
        return Ok(());
    }
    fs::create_dir_all(graphs).at(graphs)?;
    let mut make = Command::new(&python);
    make.arg(&script).arg(graphs);
    program::run(&step, &mut make)?;
    stamp.store()?;
    step.done("");
    Ok(())
}

fn environment(paths: &Paths) -> Outcome<PathBuf> {
    let step = Step::start(VERSION);
    let folder = paths.out.join("ort/venv");
    let python = folder.join("bin/python");
    if is_there(&python) {
        step.done("up to date");
        return Ok(python);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&folder);
    program::run(&step, &mut make)?;
    for arguments in [&["--no-deps", VERSION][..], &NEEDED] {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet"])
            .args(arguments);
        program::run(&step, &mut pip)?;
    }
    if !is_there(&python) {
        return Err(Failure::Data(format!("{VERSION} is not there after pip")));
    }
    step.done("");
    Ok(python)
}

fn is_there(python: &Path) -> bool {
    let script = "import importlib.metadata as m, onnx, flatbuffers; \
                  print('onnxruntime-training-cpu==' + m.version('onnxruntime-training-cpu'))";
    program::capture(&python.to_string_lossy(), &["-c", script]).as_deref() == Some(VERSION)
}
