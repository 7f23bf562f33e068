//! Evaluations of language models: `choir-eval NAME --shared DIR [--json FILE]`. The report goes to
//! standard output as JSON, progress to standard error.

use std::path::PathBuf;
use std::process::ExitCode;

use choir_wasm_client::evals::{EvalError, stories};
use serde::Serialize;

fn main() -> ExitCode {
    match Request::read(std::env::args().skip(1)).and_then(|request| request.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Request {
    name: String,
    shared: PathBuf,
}

impl Request {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut request = Self::default();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--shared" => request.shared = value()?.into(),
                name if !name.starts_with('-') && request.name.is_empty() => {
                    request.name = name.to_owned();
                }
                other => return Err(format!("there is no option {other}")),
            }
        }
        Ok(request)
    }

    fn run(&self) -> Result<(), String> {
        match self.name.as_str() {
            "stories260k" => say(stories::run(&self.shared)),
            other => Err(format!("there is no evaluation {other:?}: stories260k")),
        }
    }
}

fn say(report: Result<impl Serialize, EvalError>) -> Result<(), String> {
    let report = report.map_err(|error| error.to_string())?;
    let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}
