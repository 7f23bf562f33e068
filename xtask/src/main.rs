//! Every command of the project: set-up, build, demo, test, bench, size.
//!
//! `cargo xtask help` lists them. Outputs lie under `target/choir`, the base model in a cache
//! folder outside the checkout.

mod aggregator;
mod attack;
mod bench;
mod build;
mod check;
mod coverage;
mod data;
mod demo;
mod deploy;
mod driver;
mod eval;
mod evaluator;
mod failure;
mod faults;
mod fuzz;
mod helper;
mod kat;
mod language_page;
mod natives;
mod operator;
mod paths;
mod pretrain;
mod processes;
mod program;
mod progress;
mod setup;
mod sim;
mod size;
mod stamp;
mod suite;
mod task;

use failure::{Failure, Outcome};
use lexopt::{Arg, Parser};
use paths::Paths;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "cargo xtask <command>

  setup                      everything a build needs, once; seconds when it is there
  build [--observe]          wasm modules, edge worker and site into target/choir
  demo                       set up, build, serve the page on this machine, stay until Ctrl-C
    --port P --no-open       another port; do not open the browser
    --allowed-origins LIST   pages of other origins that may call it, separated by commas
    --headless               drive tabs of real Chromium, print a line per round, and end
      --tabs N --rounds R    4 and 4
      --data FILE|DIR        CSV, TSV or JSON lines, or a folder with train.csv and test.csv
      --labels all|K         all, or K chosen by the seed (12 of a data set of your own)
      --split S              dirichlet:0.5 | labels | iid
      --engine E             webgpu | cpu | burn | auto
      --head H               zero | centroids (centroids where the split is by labels)
      --batch B --steps S    8 and 12 (all labels: 16 and 30): examples of a step, steps of a round
      --rank R --targets T   8 and q,v; also k,o,w1,w2; rank 0 for no LoRA
      --train PARTS          of a decoder: lora, or any of biases, norms, bottleneck, and one of
                             soft-prompt, prefix, prompt-encoder, with commas between
      --prompt M             4 virtual tokens; 0 for none
      --learning-rate X      0.002 (all labels: 0.001)
      --close-one            close one tab in each round
      --task writing         a decoder learns on plain text, and its loss on what is held out must
                             fall: another speaker of the plays for each tab (those of CHOIR_SHARED,
                             or of --data); --steps 20 --learning-rate 0.004; then an editor suggests
                             how a text goes on; without --headless, for a person
      --decoder D            stories260K (of CHOIR_SHARED; it knows no plays) | choir-4m (in the tree;
                             what a person gets without this option)
      --screenshot FILE      picture of that editor (target/choir/writing.png)
      --mode M               one-aggregator or two-aggregators: a leader and a helper
      --seed S               1
      --json FILE --svg FILE results and picture
      --record               write down every byte that leaves a tab
    --native N               N native clients beside the tabs (5), in one cohort under the production
                             policy, which two of them leave; --rounds 1 --steps 4 --engine cpu;
                             with --task writing in every round, under the demo's policy
    --engine burn --tabs 1   one tab alone: burn on WebGPU beside our engines, on a small encoder
                             (building burn takes many minutes the first time)
    --as-built               neither set up nor build: run what is there
    --observe                serve the test build that can show a client's plain vector
  test                       set up, check, and run every test there is
  doors [NAME]               the end-to-end tests of the visitor, site, extension and edge doors, of the
                             editor (writing), of the extension on a task that writes
                             (extension-writing), and of two aggregators
  coverage [--json FILE] [--write]
                             how much of the field works here; --write renews docs/algorithms.md
  fuzz                       every decoder and both round machines under libFuzzer
    --seconds S --target NAME 300 for each target; all targets
    --seed N                 of the search; another one each time
    --jobs N --keep          targets at once; minimise what was found into the corpus in the tree
    --replay FILE            one target on one input
  faults                     rounds under seeded schedules of losses, delays, restarts and lies
    --schedules N --seed S   10000; one schedule in words
    --json FILE --svg FILE   counts, abort rates, rounds of 100 and 1000 clients; their picture
  attack reconstruction      what a plain update gives away of a text, and what sums do
    --data FILE|DIR          Banking77 in CHOIR_SHARED, else the sample data
    --json FILE --svg FILE   results and picture
  sim [CONFIG]               many clients on this machine: strategies, partitions, seeds as a file says
                             (wasm-client/sims/banking77.toml; it needs CHOIR_SHARED)
    --out DIR --resume       results and states; go on from those
    --seed N --strategy NAME only these (again for more); --rounds N --until-round N --workers N
  check                      formatting, lints, types, house rules
  deploy --check | --dry-run [--env dev|staging|production]
                             is the edge worker's configuration sound; does wrangler take it
                             (--as-built: neither set up nor build before)
  kat --in FILE --out FILE   every value of the protocol for given secrets
  size [--json FILE]         what a visitor downloads, compressed
  bench train [--json FILE] [--svg FILE]
                             training steps in Chromium against the limit of its WebGPU
    --peers                  and against jax-js, TensorFlow.js and onnxruntime-web (got from npm and
                             PyPI), a page for each row; and burn, where its module is built
    --workload W             decoder | encoder | all
    --quant int8|int4        our frozen matrices, of --workload encoder
    --only TEXT --quick      rows with that in their name; fewer steps
    --seed N --as-built      of the rows' order; neither set up nor build before
  bench kernels [--json FILE]
                             each kernel of a step against the best product and the best copy there
    --workload W --quick     decoder | encoder; fewer samples
    --as-built               neither set up nor build
  bench generation [--json FILE]
                             tokens a second of the built-in decoder in Chromium, and how near that is
                             to the floor of the memory's bandwidth there
  bench endurance [--json FILE] [--as-built]
                             long trainings in a tab: nothing may grow, and its page stays smooth
    --steps N --encoder-steps N 2000 of a small encoder, 50 of the workload
  bench secure-sum --live [--json FILE] [--as-built]
                             real client machines against workerd, lost at random
    --clients N --rounds R   100 and 5 for each mean life
    --means LIST             15,30,60,120 seconds from JOIN on
    --coordinates D --ring B 100000 and 24 bits
  bench secure-sum [--json FILE] [--clients N]
                             what a round costs client and aggregator, natively, in Chromium, Node
                             and workerd, beside flwr's SecAgg+ (which it gets from PyPI)
";

fn main() -> ExitCode {
    if let Some(code) = fuzz::as_rustc() {
        return code;
    }
    match dispatch(Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(mut arguments: Parser) -> Outcome<()> {
    let command = match arguments.next().map_err(usage)? {
        Some(Arg::Value(name)) => name.to_string_lossy().into_owned(),
        _ => "help".to_owned(),
    };
    let paths = Paths::find()?;
    match command.as_str() {
        "help" => {
            println!("{HELP}{}{}{}", eval::HELP, pretrain::HELP, task::HELP);
            Ok(())
        }
        "setup" => {
            nothing_more(&mut arguments)?;
            setup::run(&paths)
        }
        "build" => {
            let observe = flag(&mut arguments, "observe")?;
            setup::run(&paths)?;
            build::run(&paths, observe)
        }
        "demo" => demo::run(&paths, &demo::options::Options::read(&mut arguments)?),
        "test" => {
            nothing_more(&mut arguments)?;
            suite::run(&paths)
        }
        "doors" => doors(&paths, &mut arguments),
        "coverage" => coverage(&paths, &mut arguments),
        "attack" => attack::run(&paths, &Files::read(&mut arguments)?),
        "faults" => faults::Faults::read(&mut arguments)?.run(&paths),
        "fuzz" => fuzz::Fuzzing::read(&mut arguments)?.run(&paths),
        "eval" => eval::run(&paths, &Files::read(&mut arguments)?),
        "pretrain" => pretrain::Pretraining::read(&mut arguments)?.run(&paths),
        "sim" => sim::Simulation::read(&mut arguments)?.run(&paths),
        "check" => {
            nothing_more(&mut arguments)?;
            check::run(&paths)
        }
        "kat" => {
            let files = Files::read(&mut arguments)?;
            kat::run(&files.need("in")?, &files.need("out")?)
        }
        "deploy" => deploy::run(&paths, &mut arguments),
        "task" => task::run(&paths, &mut arguments),
        "size" => size::run(&paths, Files::read(&mut arguments)?.get("json")),
        "bench" => bench::run(&paths, &mut arguments),
        other => Err(Failure::Usage(format!("there is no command `{other}`"))),
    }
}

/// Options that name a file or a word.
pub(crate) struct Files {
    words: Vec<String>,
    named: Vec<(String, PathBuf)>,
}

impl Files {
    fn read(arguments: &mut Parser) -> Outcome<Self> {
        let mut files = Self {
            words: Vec::new(),
            named: Vec::new(),
        };
        while let Some(argument) = arguments.next().map_err(usage)? {
            match argument {
                Arg::Long(name) => {
                    let name = name.to_owned();
                    files
                        .named
                        .push((name, arguments.value().map_err(usage)?.into()));
                }
                Arg::Value(word) => files.words.push(word.to_string_lossy().into_owned()),
                other @ Arg::Short(_) => return Err(usage(other.unexpected())),
            }
        }
        Ok(files)
    }

    /// The words that stand alone.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    /// What an option names.
    pub(crate) fn get(&self, name: &str) -> Option<PathBuf> {
        self.named
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, path)| path.clone())
    }

    /// What an option must name.
    ///
    /// # Errors
    /// `Usage` where it is not given.
    pub(crate) fn need(&self, name: &str) -> Outcome<PathBuf> {
        self.get(name)
            .ok_or_else(|| Failure::Usage(format!("--{name} is missing")))
    }
}

fn flag(arguments: &mut Parser, name: &str) -> Outcome<bool> {
    let mut found = false;
    while let Some(argument) = arguments.next().map_err(usage)? {
        match argument {
            Arg::Long(given) if given == name => found = true,
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok(found)
}

fn coverage(paths: &Paths, arguments: &mut Parser) -> Outcome<()> {
    let (mut json, mut write) = (None, false);
    while let Some(argument) = arguments.next().map_err(usage)? {
        match argument {
            Arg::Long("json") => json = Some(arguments.value().map_err(usage)?.into()),
            Arg::Long("write") => write = true,
            other => return Err(usage(other.unexpected())),
        }
    }
    coverage::run(paths, json, write)
}

fn doors(paths: &Paths, arguments: &mut Parser) -> Outcome<()> {
    let name = match arguments.next().map_err(usage)? {
        None => None,
        Some(Arg::Value(name)) => Some(name.to_string_lossy().into_owned()),
        Some(other) => return Err(usage(other.unexpected())),
    };
    nothing_more(arguments)?;
    suite::doors::alone(paths, name.as_deref())
}

fn nothing_more(arguments: &mut Parser) -> Outcome<()> {
    match arguments.next().map_err(usage)? {
        None => Ok(()),
        Some(other) => Err(usage(other.unexpected())),
    }
}

/// A command line that makes no sense, as this program says it.
pub(crate) fn usage(error: lexopt::Error) -> Failure {
    Failure::Usage(error.to_string())
}
