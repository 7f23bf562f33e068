//! The graphs that onnxruntime-web trains from: its gradients are made by a Python package, which
//! gets an environment of its own.

use crate::bench::python::Environment;
use crate::failure::{AtPath, Outcome};
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use crate::stamp::Stamp;
use std::fs;
use std::path::Path;
use std::process::Command;

const PYTHON: Environment = Environment {
    folder: "ort/venv",
    package: "onnxruntime-training-cpu==1.19.2",
    // What it needs of its requirements to make graphs.
    needed: &[
        "numpy>=1.26,<2",
        "onnx>=1.16,<1.17",
        "protobuf>=4.25,<6",
        "flatbuffers>=24,<25",
        "packaging>=24",
    ],
    probe: "import importlib.metadata as m, onnx, flatbuffers; \
            print('onnxruntime-training-cpu==' + m.version('onnxruntime-training-cpu'))",
};

/// Makes the graphs of both workloads, once.
///
/// # Errors
/// `Program` where Python, pip or the script fails.
pub(super) fn ensure_graphs(paths: &Paths, graphs: &Path) -> Outcome<()> {
    let script = paths.root.join("xtask/bench/ort_artifacts.py");
    let stamp = Stamp::new(paths, "bench-ort-graphs")
        .input(&script)?
        .word(PYTHON.package);
    let python = PYTHON.ensure(paths)?;
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
