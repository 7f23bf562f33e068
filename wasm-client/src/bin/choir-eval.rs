//! Evaluations of language models: `choir-eval NAME --shared DIR`. The report goes to standard output
//! as JSON, progress to standard error. `dpo-hh`, `instruct-dolly` and `lm-shakespeare` take their
//! settings as options (`--rounds 20`); the last draws a picture with `--svg FILE`. `checkpoint`
//! evaluates any decoder that is read: `--model DIR --sequences FILE [--adapter DIR] [--steps N]
//! [--train lora|soft-prompt|prefix] [--export DIR] [--precision P]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use choir_wasm_client::evals::{
    self, EvalError, checkpoint, instructions, preferences, shakespeare, stories,
};
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
    options: BTreeMap<String, String>,
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
                option if option.starts_with("--") => {
                    request.options.insert(option.to_owned(), value()?);
                }
                other => return Err(format!("there is no option {other}")),
            }
        }
        Ok(request)
    }

    fn run(mut self) -> Result<(), String> {
        let svg = self.options.remove("--svg");
        match self.name.as_str() {
            "checkpoint" => say(self.checkpoint()),
            "dpo-hh" => say(self.preferences()),
            "instruct-dolly" => say(self.instructions()),
            "lm-shakespeare" => say(self.shakespeare(svg.as_deref())),
            "stories260k" => match self.options.keys().chain(&svg).next() {
                Some(option) => Err(format!("stories260k has no option {option}")),
                None => say(stories::run(&self.shared)),
            },
            other => Err(format!(
                "there is no evaluation {other:?}: checkpoint, dpo-hh, instruct-dolly, lm-shakespeare, stories260k"
            )),
        }
    }

    fn checkpoint(&self) -> Result<checkpoint::Report, EvalError> {
        checkpoint::run(&evals::settings(&self.options)?)
    }

    fn preferences(&self) -> Result<preferences::Report, EvalError> {
        let settings = evals::settings(&self.options)?;
        preferences::run(&self.shared, &settings, &|line| eprintln!("{line}"))
    }

    fn instructions(&self) -> Result<instructions::Report, EvalError> {
        let settings = evals::settings(&self.options)?;
        instructions::run(&self.shared, &settings, &|line| eprintln!("{line}"))
    }

    fn shakespeare(&self, svg: Option<&str>) -> Result<shakespeare::Report, EvalError> {
        let settings = shakespeare::Settings::read(&self.shared, &self.options)?;
        let report = shakespeare::run(&settings, &|line| eprintln!("{line}"))?;
        if let Some(file) = svg {
            evals::write(file.as_ref(), &shakespeare::plot::draw(&report))?;
        }
        Ok(report)
    }
}

fn say(report: Result<impl Serialize, EvalError>) -> Result<(), String> {
    let report = report.map_err(|error| error.to_string())?;
    let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}
