//! What a demo stands on: a fresh folder, the aggregator, the base model's objects, tasks.

use super::options::Options;
use super::task::{self, Frame};
use crate::aggregator::{Aggregator, Settings};
use crate::data::{self, DataSet, LabelChoice};
use crate::failure::{AtPath, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::setup;
use choir_shared::control::CreateTask;
use choir_shared::ids::{Digest, TaskId};
use choir_shared::task::{Aggregation, TaskConfig};
use choir_shared::wire;
use std::fs;
use std::path::{Path, PathBuf};

/// The shipped sample, written for this project.
const SAMPLE: &str = "web/demo/sample/intents.csv";
/// Labels of a large data set that a software adapter can train on in minutes.
const USUAL_LABELS: usize = 12;

/// A fresh folder for the files of one run.
///
/// # Errors
/// `File` where it cannot be made.
pub(super) fn fresh_folder(paths: &Paths) -> Outcome<PathBuf> {
    fresh(super::folder(paths))
}

/// That folder with nothing in it.
///
/// # Errors
/// `File` where it cannot be made.
pub(super) fn fresh(folder: PathBuf) -> Outcome<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(&folder).at(&folder)?;
    }
    fs::create_dir_all(&folder).at(&folder)?;
    Ok(folder)
}

/// Where the aggregator of a run keeps its state.
pub(super) fn state(folder: &Path) -> PathBuf {
    folder.join("aggregator")
}

/// Reads the examples that the options name.
///
/// # Errors
/// `File` or `Data` where nothing usable is there.
pub(super) fn read_data(paths: &Paths, options: &Options) -> Outcome<DataSet> {
    let step = Step::start("examples");
    let sample = paths.root.join(SAMPLE);
    let usual = options
        .data
        .as_ref()
        .map_or(LabelChoice::All, |_| LabelChoice::Some(USUAL_LABELS));
    let data = DataSet::read(
        options.data.as_ref().unwrap_or(&sample),
        options.labels.unwrap_or(usual),
        options.seed,
    )?;
    step.done(&format!(
        "{} labels, {} to train on, {} held out",
        data.labels.len(),
        data.train.len(),
        data.test.len()
    ));
    Ok(data)
}

/// Starts the aggregator and stores the encoder.
///
/// # Errors
/// `Program` or `Http` where it does not answer.
pub(super) fn aggregator(paths: &Paths, options: &Options, folder: &Path) -> Outcome<Aggregator> {
    let files = setup::model_files(paths);
    aggregator_with(paths, options, folder, [&files.weights, &files.tokenizer])
}

/// Starts the aggregator and stores the files of a base model.
///
/// # Errors
/// `Program` or `Http` where it does not answer.
pub(super) fn aggregator_with(
    paths: &Paths,
    options: &Options,
    folder: &Path,
    files: [&PathBuf; 2],
) -> Outcome<Aggregator> {
    let step = Step::start("edge aggregator on workerd");
    let state = state(folder);
    let site = paths.site(options.observe);
    let port = options.port.or(if options.headless {
        None
    } else {
        Some(USUAL_PORT)
    });
    let helper = options.mode.helper();
    let token = helper.map(|helper| ("HELPER_TOKEN", helper.token.clone()));
    let mut aggregator = Aggregator::start(
        paths,
        &Settings {
            port,
            state: &state,
            site: Some(&site),
            origins: &options.origins,
            variables: token.as_slice(),
        },
    )?;
    step.done(aggregator.operator.base());
    if let Some(helper) = helper {
        let step = Step::start("its helper, another worker");
        let helper = helper.start(paths, &folder.join("helper"))?;
        step.done(helper.operator.base());
        aggregator.helper = Some(Box::new(helper));
    }
    let step = Step::start("base model to the aggregator");
    for file in files {
        aggregator.operator.put_object(&fs::read(file).at(file)?)?;
    }
    step.done("");
    Ok(aggregator)
}

/// The frame of a demo's tasks.
///
/// # Errors
/// `File` where the model is not in the cache.
pub(super) fn frame<'a>(paths: &Paths, options: &'a Options, data: &DataSet) -> Outcome<Frame<'a>> {
    let base = task::base_model(&setup::model_files(paths))?;
    Ok(Frame {
        options,
        base,
        labels: data.labels.clone(),
    })
}

/// Creates a task with the given version 0 and opens its first round.
///
/// # Errors
/// `Http` where the aggregator refuses.
pub(super) fn create(
    aggregator: &Aggregator,
    config: &TaskConfig,
    version_zero: &[u8],
    rounds: u32,
) -> Outcome<(TaskId, Digest)> {
    let adapter = aggregator.operator.put_object(version_zero)?;
    let task_id = task::fresh_id()?;
    let request = CreateTask {
        task_id,
        config: config.clone(),
        adapter,
        rounds,
    };
    if let (Aggregation::TwoAggregators(_), Some(helper)) =
        (&request.config.aggregation, &aggregator.helper)
    {
        helper.operator.register(&request)?;
    }
    aggregator.operator.create(&request)?;
    Ok((task_id, adapter))
}

/// Writes a task's configuration as wire bytes.
///
/// # Errors
/// `File` where it cannot be written.
pub(super) fn write_config(folder: &Path, name: &str, config: &TaskConfig) -> Outcome<PathBuf> {
    let file = folder.join(format!("{name}.task"));
    fs::write(&file, wire::encode(config)).at(&file)?;
    Ok(file)
}

/// Writes the shares of the tabs and the held-out examples.
///
/// # Errors
/// `File` or `Data` where that cannot be done.
pub(super) fn write_shares(
    folder: &Path,
    options: &Options,
    data: &DataSet,
) -> Outcome<(Vec<PathBuf>, PathBuf)> {
    let shares = data::split::deal(&data.train, options.split, options.clients(), options.seed)?;
    let mut files = Vec::new();
    for (tab, share) in shares.iter().enumerate() {
        let file = folder.join(format!("share-{tab}.csv"));
        data::write(&file, share)?;
        files.push(file);
    }
    let test = folder.join("test.csv");
    data::write(&test, &data.test)?;
    Ok((files, test))
}

const USUAL_PORT: u16 = 8787;
