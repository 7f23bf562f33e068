//! `cargo xtask eval NAME`: evaluations of language models on real data. The native evaluator is
//! built and run; what concerns the browser runs in real Chromium too.

mod alignment;
mod large;
mod peft;
mod shakespeare;
mod stories;

use crate::build::{Profile, Tool};
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::{Files, program};
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the command line says of evaluations.
pub(crate) const HELP: &str = "\
  eval stories260k [--json FILE]
                             a pretrained decoder, natively and in Chromium: its greedy text, its loss
                             against an independent forward pass (it needs CHOIR_SHARED)
  eval instruct-dolly [--json FILE]
                             that decoder taught instructions by ten clients: loss and ROUGE-L of its
                             responses (some minutes; CHOIR_SHARED)
  eval dpo-hh [--json FILE]  that decoder taught preferences by five clients: how often it rewards the
                             preferred answer of pairs held out (many minutes; CHOIR_SHARED)
  eval smollm2-135m [--json FILE]
                             its exact shape with random weights in four bits, trained in Chromium
  eval peft --python PROGRAM [--json FILE]
                             adapters from PEFT here and from here in PEFT, logits compared
  eval checkpoint --model DIR --sequences FILE [--adapter DIR] [--json FILE]
                             a decoder's logits and loss on sequences of tokens; --steps N --export DIR
                             trains LoRA on them and writes it as PEFT does; --precision int8|int4
  eval lm-shakespeare [--json FILE] [--svg FILE]
                             that decoder adapted to 64 speakers together, alone and in one place: what
                             training together gains of what one place does (some minutes; CHOIR_SHARED)
";

const TOOL: Tool = Tool {
    title: "native evaluator",
    feature: "evals",
    name: "choir-eval",
    profile: Profile::Release,
};

/// Runs the evaluation that the command line names.
///
/// # Errors
/// `Usage` where it names none, `Missing` without the shared data, `Check` where a result is wrong.
pub(crate) fn run(paths: &Paths, files: &Files) -> Outcome<()> {
    let json = files.get("json");
    type Check = fn(&Value) -> Outcome<()>;
    let word = match files.words() {
        [word] => word.as_str(),
        _ => "",
    };
    let (result, check): (Value, Check) = match word {
        "stories260k" => (stories::run(paths, &shared()?)?, stories::check),
        "lm-shakespeare" => {
            let result = shakespeare::run(paths, &shared()?, files.get("svg"))?;
            (result, shakespeare::check)
        }
        "instruct-dolly" => {
            let result = alignment::instructions(paths, &shared()?)?;
            (result, alignment::check_instructions)
        }
        "dpo-hh" => {
            let result = alignment::preferences(paths, &shared()?)?;
            (result, alignment::check_preferences)
        }
        "smollm2-135m" => (large::run(paths)?, large::check),
        "peft" => {
            let python = peft::python(files.get("python"), paths)?;
            (peft::run(paths, &python)?, |_| Ok(()))
        }
        "checkpoint" => (checkpoint(paths, files)?, |_| Ok(())),
        _ => return Err(Failure::Usage(format!("evaluations are\n{HELP}"))),
    };
    println!("{result:#}");
    if let Some(file) = json {
        fs::write(&file, format!("{result:#}\n")).at(&file)?;
    }
    check(&result)
}

/// A checkpoint of the user's, on sequences of theirs.
fn checkpoint(paths: &Paths, files: &Files) -> Outcome<Value> {
    let mut arguments: Vec<OsString> = vec!["checkpoint".into()];
    for name in [
        "model",
        "sequences",
        "adapter",
        "steps",
        "export",
        "precision",
    ] {
        if let Some(value) = files.get(name) {
            arguments.extend([format!("--{name}").into(), value.into()]);
        }
    }
    natively(paths, None, &arguments)
}

/// The folder of shared data and models.
///
/// # Errors
/// `Missing` where CHOIR_SHARED names none.
pub(crate) fn shared() -> Outcome<PathBuf> {
    let folder = std::env::var_os("CHOIR_SHARED").map(PathBuf::from);
    folder
        .filter(|folder| folder.join("models").is_dir())
        .ok_or_else(|| Failure::Missing {
            what: "the shared data".to_owned(),
            remedy: "Name its folder, which has `data` and `models`, in CHOIR_SHARED.".to_owned(),
        })
}

/// Builds the evaluator, runs it on one evaluation, and yields its report.
fn natively(paths: &Paths, shared: Option<&Path>, arguments: &[OsString]) -> Outcome<Value> {
    let program = TOOL.build(paths)?;
    let mut evaluator = Command::new(program);
    evaluator.args(arguments);
    if let Some(shared) = shared {
        evaluator.arg("--shared").arg(shared);
    }
    let output = evaluator
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| program::cannot_start(TOOL.name, &error))?;
    if !output.status.success() {
        let complaint = format!("the evaluator ended with {}", output.status);
        return Err(Failure::Check(complaint));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| Failure::Data(error.to_string()))
}
