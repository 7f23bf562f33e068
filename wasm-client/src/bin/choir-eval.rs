//! Evaluations of language models: `choir-eval NAME --shared DIR`, or of a checkpoint of any decoder
//! that is read: `choir-eval checkpoint --model DIR --sequences FILE [--adapter DIR] [--steps N]
//! [--export DIR] [--precision P]`. The report goes to standard output as JSON, progress to standard
//! error.

use std::path::PathBuf;
use std::process::ExitCode;

use choir_wasm_client::engine::quantised::WeightPrecision;
use choir_wasm_client::evals::{EvalError, checkpoint, stories};
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
    model: Option<PathBuf>,
    sequences: Option<PathBuf>,
    adapter: Option<PathBuf>,
    export: Option<PathBuf>,
    steps: usize,
    precision: WeightPrecision,
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
                "--model" => request.model = Some(value()?.into()),
                "--sequences" => request.sequences = Some(value()?.into()),
                "--adapter" => request.adapter = Some(value()?.into()),
                "--export" => request.export = Some(value()?.into()),
                "--steps" => {
                    let text = value()?;
                    let parsed = text.parse();
                    request.steps = parsed.map_err(|_| format!("--steps {text} is no number"))?;
                }
                "--precision" => {
                    request.precision = match value()?.as_str() {
                        "f32" => WeightPrecision::F32,
                        "int8" => WeightPrecision::Int8,
                        "int4" => WeightPrecision::Int4,
                        other => return Err(format!("there is no precision {other}")),
                    };
                }
                name if !name.starts_with('-') && request.name.is_empty() => {
                    request.name = name.to_owned();
                }
                other => return Err(format!("there is no option {other}")),
            }
        }
        Ok(request)
    }

    fn checkpoint(&self) -> Result<checkpoint::Request, String> {
        let need = |path: &Option<PathBuf>, name: &str| {
            path.clone()
                .ok_or_else(|| format!("a checkpoint needs --{name}"))
        };
        Ok(checkpoint::Request {
            model: need(&self.model, "model")?,
            sequences: need(&self.sequences, "sequences")?,
            adapter: self.adapter.clone(),
            export: self.export.clone(),
            steps: self.steps,
            precision: self.precision,
        })
    }

    fn run(&self) -> Result<(), String> {
        match self.name.as_str() {
            "stories260k" => say(stories::run(&self.shared)),
            "checkpoint" => say(checkpoint::run(&self.checkpoint()?)),
            other => Err(format!(
                "there is no evaluation {other:?}: checkpoint, stories260k"
            )),
        }
    }
}

fn say(report: Result<impl Serialize, EvalError>) -> Result<(), String> {
    let report = report.map_err(|error| error.to_string())?;
    let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}
