//! Runs an experiment: `choir-sim CONFIG --model DIR --out DIR [--resume] [--seed N]...
//! [--strategy NAME]... [--rounds N] [--until-round N] [--workers N]`. Progress goes to standard error, the table to standard output.

use std::path::PathBuf;
use std::process::ExitCode;

use choir_wasm_client::sim::{self, Config, Event, Options};

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
    config: Option<PathBuf>,
    seeds: Vec<u64>,
    strategies: Vec<String>,
    rounds: Option<u32>,
    options: Options,
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
                "--resume" => request.options.resume = true,
                "--out" => request.options.out = value()?.into(),
                "--model" => request.options.model = value()?.into(),
                "--seed" => request.seeds.push(number("--seed", &value()?)?),
                "--strategy" => request.strategies.push(value()?),
                "--rounds" => request.rounds = Some(number("--rounds", &value()?)?),
                "--workers" => {
                    request.options.workers = Some(number("--workers", &value()?)?);
                }
                "--until-round" => {
                    request.options.until_round = Some(number("--until-round", &value()?)?);
                }
                file if !file.starts_with('-') && request.config.is_none() => {
                    request.config = Some(file.into());
                }
                other => return Err(format!("there is no option {other}")),
            }
        }
        Ok(request)
    }

    fn run(self) -> Result<(), String> {
        let file = self.config.ok_or("name the experiment's file")?;
        let mut config = Config::read(&file).map_err(|error| error.to_string())?;
        if !self.seeds.is_empty() {
            config.seeds = self.seeds;
        }
        for name in &self.strategies {
            if !config
                .strategies
                .iter()
                .any(|strategy| strategy.name == *name)
            {
                return Err(format!("{} has no strategy {name}", file.display()));
            }
        }
        if !self.strategies.is_empty() {
            let chosen = |name: &String| self.strategies.contains(name);
            config.strategies.retain(|strategy| chosen(&strategy.name));
        }
        config.rounds = self.rounds.unwrap_or(config.rounds);
        let summary = sim::run(&config, &self.options, &mut |event| {
            say(&event, config.rounds)
        });
        print!("{}", summary.map_err(|error| error.to_string())?.table());
        Ok(())
    }
}

fn say(event: &Event, rounds: u32) {
    match event {
        Event::Note(line) => eprintln!("{line}"),
        Event::Stored(record) if record.round == 0 => {
            let (strategy, seed) = (&record.strategy, record.seed);
            eprintln!("{strategy}, seed {seed}: goes on from what is stored");
        }
        Event::Stored(_) => {}
        Event::Round(record) => eprintln!(
            "{}, seed {}: round {} of {rounds}, {:.1} %, loss {:.3}, {} clients, {} dropped, {:.1} s",
            record.strategy,
            record.seed,
            record.round,
            100.0 * record.accuracy,
            record.loss,
            record.clients,
            record.dropped,
            record.seconds
        ),
    }
}

fn number<T: core::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    let parsed = text.parse();
    parsed.map_err(|_| format!("{name} needs a number, found {text}"))
}
