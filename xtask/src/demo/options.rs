//! The command line of `cargo xtask demo`.

use super::trained::Trained;
use super::values::{decoder, head_start, kind, label_choice, mode, targets};
use crate::data::LabelChoice;
use crate::data::split::Split;
use crate::failure::{Failure, Outcome};
use crate::helper::Helper;
use choir_shared::policy::Policy;
use choir_shared::task::Target;
use choir_shared::wire::limits;
use lexopt::{Arg, Parser, ValueExt};
use std::path::PathBuf;

/// What the head starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// All zero.
    Zero,
    /// Class centroids, summed by the tabs in a round of their own.
    Centroids,
}

/// What is learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What a visitor wants, by an encoder.
    #[default]
    Intents,
    /// How a text goes on, by a decoder.
    Writing,
}

/// Which decoder learns to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoder {
    /// The one in the tree.
    BuiltIn,
    /// stories260K of the shared data.
    Stories,
}

/// Who adds the updates up.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mode {
    /// One aggregator, by the secure sum of a cohort.
    #[default]
    OneAggregator,
    /// A leader and a helper.
    TwoAggregators(Helper),
}

impl Mode {
    /// Its name on the command line and in JSON.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::OneAggregator => "one-aggregator",
            Self::TwoAggregators(_) => "two-aggregators",
        }
    }

    /// The helper, where there is one.
    pub(crate) const fn helper(&self) -> Option<&Helper> {
        match self {
            Self::OneAggregator => None,
            Self::TwoAggregators(helper) => Some(helper),
        }
    }
}

/// Everything that can be chosen.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// What is learnt.
    pub(crate) task: Kind,
    /// By which decoder, of a task that writes.
    pub(crate) decoder: Option<Decoder>,
    /// Who adds the updates up.
    pub(crate) mode: Mode,
    /// Tabs of a headless run.
    pub(crate) tabs: usize,
    /// Native clients beside the tabs; with any of a task that does not write, two of all are lost and
    /// the policy is the production default.
    pub(crate) native: usize,
    /// Rounds of a headless run.
    pub(crate) rounds: u32,
    /// Where the examples come from; the shipped sample where absent.
    pub(crate) data: Option<PathBuf>,
    /// Drive the tabs without a person.
    pub(crate) headless: bool,
    /// Where the results go.
    pub(crate) json: Option<PathBuf>,
    /// Where the picture goes; beside the JSON where absent.
    pub(crate) svg: Option<PathBuf>,
    /// Where the picture of the editor goes, of a task that writes; into the output folder where absent.
    pub(crate) screenshot: Option<PathBuf>,
    /// `webgpu`, `cpu`, `burn` or `auto`.
    pub(crate) engine: String,
    /// Which labels take part.
    pub(crate) labels: Option<LabelChoice>,
    /// How the examples are dealt out.
    pub(crate) split: Split,
    /// What the head starts from.
    pub(crate) head: Head,
    /// Examples of a step.
    pub(crate) batch: u16,
    /// Steps of a round.
    pub(crate) steps: u16,
    /// LoRA's rank; 0 for none.
    pub(crate) rank: u16,
    /// What of a decoder is trained.
    pub(crate) train: Trained,
    /// LoRA's linear layers.
    pub(crate) targets: Vec<Target>,
    /// Virtual tokens; 0 for none.
    pub(crate) prompt: u16,
    /// AdamW's step size.
    pub(crate) learning_rate: f32,
    /// Close one tab in each round.
    pub(crate) close_one: bool,
    /// Seed of shares, hold-out and version 0.
    pub(crate) seed: u64,
    /// The port, or any free one.
    pub(crate) port: Option<u16>,
    /// Open the browser when the page is served.
    pub(crate) open: bool,
    /// Serve the build that can show a client's plain vector.
    pub(crate) observe: bool,
    /// Write down every byte that leaves a tab.
    pub(crate) record: bool,
    /// Also train each tab alone, and, from centroids, each part alone.
    pub(crate) compare: bool,
    /// Neither set up nor build: run what is there.
    pub(crate) as_built: bool,
    /// Pages of other origins that may call the aggregator, separated by commas.
    pub(crate) origins: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            task: Kind::Intents,
            decoder: None,
            mode: Mode::OneAggregator,
            tabs: 4,
            native: 0,
            rounds: 4,
            data: None,
            headless: false,
            json: None,
            svg: None,
            screenshot: None,
            engine: "webgpu".to_owned(),
            labels: None,
            split: Split::Dirichlet(0.5),
            head: Head::Zero,
            batch: 8,
            steps: 12,
            rank: 8,
            train: Trained::default(),
            targets: vec![Target::Q, Target::V],
            prompt: 4,
            learning_rate: 2e-3,
            close_one: false,
            seed: 1,
            port: None,
            open: true,
            observe: false,
            record: false,
            compare: false,
            as_built: false,
            origins: String::new(),
        }
    }
}

/// What was given on the command line and has a usual value that depends on the rest.
#[derive(Default)]
struct Given {
    tabs: Option<usize>,
    rounds: Option<u32>,
    engine: Option<String>,
    head: Option<Head>,
    batch: Option<u16>,
    steps: Option<u16>,
    learning_rate: Option<f32>,
}

impl Options {
    /// Reads what is left of the command line.
    ///
    /// # Errors
    /// `Usage` for what makes no sense.
    pub(crate) fn read(arguments: &mut Parser) -> Outcome<Self> {
        let mut options = Self::default();
        let mut given = Given::default();
        options
            .read_into(arguments, &mut given)
            .map_err(crate::usage)?;
        // Where each tab knows only some labels, no tab can start the others' columns well.
        let usual = if options.split == Split::Labels {
            Head::Centroids
        } else {
            Head::Zero
        };
        options.head = given.head.unwrap_or(usual);
        options.headless |= options.native > 0;
        let mixed = options.native > 0 && options.task != Kind::Writing;
        // Fifty clients share the machine's cores, and the production policy lets each upload once.
        let (tabs, rounds, engine) = if mixed {
            (5, 1, "cpu")
        } else {
            (options.tabs, options.rounds, options.engine.as_str())
        };
        let engine = engine.to_owned();
        options.tabs = given.tabs.unwrap_or(tabs);
        options.rounds = given.rounds.unwrap_or(rounds);
        options.engine = given.engine.unwrap_or(engine);
        // All the labels of a large set take more examples and smaller steps than a dozen.
        let (batch, steps, learning_rate) = match options.labels {
            Some(LabelChoice::All) => (16, 30, 1e-3),
            _ if options.task == Kind::Writing => (options.batch, 20, 4e-3),
            _ if mixed => (options.batch, 4, options.learning_rate),
            _ => (options.batch, options.steps, options.learning_rate),
        };
        options.batch = given.batch.unwrap_or(batch);
        options.steps = given.steps.unwrap_or(steps);
        options.learning_rate = given.learning_rate.unwrap_or(learning_rate);
        options.compare = options.headless && !mixed;
        // A headless run compares every published sum with the plain one.
        options.observe |= options.headless;
        options.check()?;
        Ok(options)
    }

    fn read_into(
        &mut self,
        arguments: &mut Parser,
        given: &mut Given,
    ) -> Result<(), lexopt::Error> {
        while let Some(argument) = arguments.next()? {
            let Arg::Long(name) = argument else {
                return Err(argument.unexpected());
            };
            let name = name.to_owned();
            match name.as_str() {
                "headless" => self.headless = true,
                "close-one" => self.close_one = true,
                "no-open" => self.open = false,
                "observe" => self.observe = true,
                "record" => self.record = true,
                "as-built" => self.as_built = true,
                _ => self.value(&name, arguments, given)?,
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        name: &str,
        arguments: &mut Parser,
        given: &mut Given,
    ) -> Result<(), lexopt::Error> {
        let value = arguments.value()?;
        match name {
            "task" => self.task = value.parse_with(kind)?,
            "decoder" => self.decoder = Some(value.parse_with(decoder)?),
            "mode" => self.mode = value.parse_with(mode)?,
            "tabs" => given.tabs = Some(value.parse()?),
            "native" => self.native = value.parse()?,
            "rounds" => given.rounds = Some(value.parse()?),
            "data" => self.data = Some(value.into()),
            "json" => self.json = Some(value.into()),
            "svg" => self.svg = Some(value.into()),
            "screenshot" => self.screenshot = Some(value.into()),
            "engine" => given.engine = Some(value.string()?),
            "labels" => self.labels = Some(value.parse_with(label_choice)?),
            "split" => self.split = value.parse()?,
            "head" => given.head = Some(value.parse_with(head_start)?),
            "batch" => given.batch = Some(value.parse()?),
            "steps" => given.steps = Some(value.parse()?),
            "rank" => self.rank = value.parse()?,
            "train" => self.train = value.parse_with(Trained::read)?,
            "targets" => self.targets = value.parse_with(targets)?,
            "prompt" => self.prompt = value.parse()?,
            "learning-rate" => given.learning_rate = Some(value.parse()?),
            "seed" => self.seed = value.parse()?,
            "port" => self.port = Some(value.parse()?),
            "allowed-origins" => self.origins = value.string()?,
            _ => return Err(Arg::Long(name).unexpected()),
        }
        Ok(())
    }

    fn check(&self) -> Outcome<()> {
        let complaint = if self.native > 0 && self.task != Kind::Writing {
            return self.check_mixed();
        } else if self.native > 0 && self.mode.helper().is_some() {
            "--native takes part with one aggregator"
        } else if self.task == Kind::Writing && self.engine == "burn" {
            "--task writing runs on engine webgpu, cpu or auto"
        } else if self.screenshot.is_some() && !(self.headless && self.task == Kind::Writing) {
            "--screenshot is of the editor: give --task writing --headless too"
        } else if self.is_one_tab() {
            return Ok(());
        } else if self.tabs == 0 || !(3..=49).contains(&self.clients()) {
            "--tabs, with --native, goes from 3 to 49: a secure sum of fewer hides nothing"
        } else if self.rounds == 0 {
            "--rounds must be at least 1"
        } else if !["webgpu", "cpu", "burn", "auto"].contains(&self.engine.as_str()) {
            "--engine is webgpu, cpu, burn or auto"
        } else if self.close_one && self.tabs < 4 && self.mode.helper().is_none() {
            "--close-one needs 4 tabs: a cohort of 3 cannot lose one"
        } else {
            return Ok(());
        };
        Err(Failure::Usage(complaint.to_owned()))
    }
}

impl Options {
    /// One tab on engine burn trains by itself: there is nobody to add it to.
    pub(crate) fn is_one_tab(&self) -> bool {
        self.native == 0 && self.tabs == 1 && self.engine == "burn"
    }

    /// Tabs and native clients together.
    pub(crate) const fn clients(&self) -> usize {
        self.tabs + self.native
    }

    fn check_mixed(&self) -> Outcome<()> {
        let least = usize::from(Policy::default().min_cohort);
        let most = usize::from(limits::MAX_COHORT);
        let complaint = if !(least..=most).contains(&self.clients()) {
            format!(
                "--tabs and --native are {least} to {most} together: the production policy joins none below"
            )
        } else if !(1..=49).contains(&self.tabs) {
            "--tabs goes from 1 to 49".to_owned()
        } else if self.mode.helper().is_some() {
            "--native takes part with one aggregator".to_owned()
        } else if self.rounds != 1 {
            "--native runs one round: the production policy lets each client upload once".to_owned()
        } else {
            return Ok(());
        };
        Err(Failure::Usage(complaint))
    }
}
