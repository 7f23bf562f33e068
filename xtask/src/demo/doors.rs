//! What the end-to-end tests of the doors stand on: one aggregator with the page as visitors get it,
//! and a small task for each door.

use super::decoder::Files;
use super::options::{Decoder, Mode, Options};
use super::stage;
use crate::aggregator::Aggregator;
use crate::data::DataSet;
use crate::data::split::Split;
use crate::evaluator::Evaluator;
use crate::failure::{AtPath, Outcome};
use crate::helper::{Helper, free_port};
use crate::paths::Paths;
use choir_shared::ids::TaskId;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A running aggregator, and what a door's test is told.
pub(crate) struct DoorStage {
    aggregator: Aggregator,
    folder: PathBuf,
    shares: Vec<PathBuf>,
    labels: Vec<String>,
    origins: Vec<String>,
    short: Version0,
    long: Version0,
    /// A task with two aggregators, and the second of them.
    reports: Version0,
    helper: Helper,
    /// A task with a decoder, where the shared data has one.
    writing: Version0,
}

/// A task's settings and its version 0.
struct Version0 {
    config: choir_shared::task::TaskConfig,
    values: Vec<u8>,
}

impl DoorStage {
    /// Starts the aggregator and stores the base model.
    ///
    /// # Errors
    /// The first step that failed.
    pub(crate) fn open(paths: &Paths) -> Outcome<Self> {
        let folder = stage::fresh(paths.out.join("doors"))?;
        let origins: Vec<String> = (0..ORIGINS)
            .map(|_| free_port().map(|port| format!("http://127.0.0.1:{port}")))
            .collect::<Outcome<_>>()?;
        let mut allowed = origins.clone();
        allowed.extend(extension_origin(paths));
        let options = Options {
            tabs: COHORT,
            split: Split::Even,
            headless: true,
            engine: "cpu".to_owned(),
            batch: 4,
            steps: 2,
            origins: allowed.join(","),
            decoder: Some(Decoder::BuiltIn),
            ..Options::default()
        };
        let data = stage::read_data(paths, &options)?;
        let (shares, _) = stage::write_shares(&folder, &options, &data)?;
        let mut evaluator = Evaluator::start(paths)?;
        let mut task = |options: &Options, name: &str| {
            version_zero(paths, &mut evaluator, options, &data, &folder.join(name))
        };
        let short = task(&options, "short")?;
        let patient = Options {
            steps: MANY_STEPS,
            ..options.clone()
        };
        let long = task(&patient, "long")?;
        // What the leader asks its helper passes by a test.
        let helper = Helper::fresh()?.behind(free_port()?);
        let options = Options {
            mode: Mode::TwoAggregators(helper.clone()),
            ..options
        };
        let reports = Version0 {
            config: stage::frame(paths, &options, &data)?.adapter_task()?,
            values: short.values.clone(),
        };
        let aggregator = stage::aggregator(paths, &options, &folder)?;
        let writing = writing(paths, &mut evaluator, &options, &aggregator, &folder)?;
        Ok(Self {
            aggregator,
            folder,
            shares,
            labels: data.labels,
            origins,
            short,
            long,
            reports,
            helper,
            writing,
        })
    }

    /// Creates a door's tasks and writes the file that tells its test about them.
    ///
    /// # Errors
    /// `Http` where the aggregator refuses, `File` where nothing can be written.
    pub(crate) fn tell(&self, paths: &Paths, door: &str) -> Outcome<PathBuf> {
        let out = stage::fresh(self.folder.join(door))?;
        let task = self.task(&self.short)?;
        let long_task = self.task(&self.long)?;
        let report_task = self.task(&self.reports)?;
        let writing_task = self.task(&self.writing)?;
        let told: Value = json!({
            "url": self.aggregator.operator.base(),
            "secret": self.aggregator.operator.secret(),
            "out": out,
            "state": stage::state(&self.folder),
            "task": task.to_string(),
            "longTask": long_task.to_string(),
            "reportTask": report_task.to_string(),
            "writingTask": writing_task.to_string(),
            "helper": {
                "url": format!("http://127.0.0.1:{}", self.helper.port),
                "front": self.helper.front,
                "key": self.helper.key().to_string(),
                "token": self.helper.token,
                "leader": self.aggregator.process(),
                "process": self.aggregator.helper.as_ref().map(|helper| helper.process()),
            },
            "labels": self.labels,
            "shares": self.shares,
            "origins": self.origins,
            "root": paths.root,
            "xtask": std::env::current_exe().at(Path::new("xtask"))?,
            "packed": paths.out.join("sdk"),
            "extension": paths.out.join("extension"),
        });
        let file = self.folder.join(format!("{door}.json"));
        fs::write(&file, told.to_string()).at(&file)?;
        Ok(file)
    }

    fn task(&self, version_zero: &Version0) -> Outcome<TaskId> {
        let (task, _) = stage::create(
            &self.aggregator,
            &version_zero.config,
            &version_zero.values,
            ROUNDS,
        )?;
        Ok(task)
    }
}

fn version_zero(
    paths: &Paths,
    evaluator: &mut Evaluator,
    options: &Options,
    data: &DataSet,
    folder: &Path,
) -> Outcome<Version0> {
    let folder = stage::fresh(folder.to_owned())?;
    let config = stage::frame(paths, options, data)?.adapter_task()?;
    let config_file = stage::write_config(&folder, "adapter", &config)?;
    let file = folder.join("version-0.f32");
    evaluator.version_zero(&config_file, None, &file)?;
    let values = fs::read(&file).at(&file)?;
    Ok(Version0 { config, values })
}

/// A decoder's task, whose base model the aggregator is given too.
fn writing(
    paths: &Paths,
    evaluator: &mut Evaluator,
    options: &Options,
    aggregator: &Aggregator,
    folder: &Path,
) -> Outcome<Version0> {
    let files = Files::find(paths, options)?;
    let folder = stage::fresh(folder.join("decoder"))?;
    // `options` name a helper, which this task has none of.
    let config = files.task(&Options {
        mode: Mode::OneAggregator,
        ..options.clone()
    })?;
    let config_file = stage::write_config(&folder, "writing", &config)?;
    let file = folder.join("version-0.f32");
    evaluator.language_version_zero(&config_file, &file)?;
    for base in files.base() {
        aggregator.operator.put_object(&fs::read(base).at(base)?)?;
    }
    let values = fs::read(&file).at(&file)?;
    Ok(Version0 { config, values })
}

/// The extension's origin, from its fixed id.
fn extension_origin(paths: &Paths) -> Option<String> {
    let id = fs::read_to_string(paths.root.join("web/extension/id.txt")).ok()?;
    Some(format!("chrome-extension://{}", id.trim()))
}

/// Clients of a round.
const COHORT: usize = 3;
/// Other origins whose pages may call the aggregator.
const ORIGINS: usize = 2;
/// More rounds than any test takes part in.
const ROUNDS: u32 = 1000;
/// Steps of a training that a test can interrupt.
const MANY_STEPS: u16 = 40;
