//! Two rounds of the same update with everything kept: what leaves the tabs, what the aggregator
//! stores in mid-round and after, what it logs, and what the browser asks the network for. In the
//! second round workerd is killed, and the round goes on from storage.

use super::options::Options;
use super::rounds::{Published, Rounds};
use super::{stage, task};
use crate::driver::{Driver, Plan};
use crate::evaluator::Evaluator;
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::stamp::files_below;
use choir_shared::control::CreateTask;
use choir_shared::ids::{Digest, RoundId};
use choir_shared::task::Target;
use std::fs;
use std::path::{Path, PathBuf};

/// Tabs of the run.
pub(crate) const TABS: usize = 3;
/// The tab that is held back.
const LATE: usize = 0;

/// What there is to look through.
pub(crate) struct Witnessed {
    /// Recordings and plain updates of the tabs, the browser's net log, the visitors' shares.
    pub(crate) folder: PathBuf,
    /// The two rounds.
    pub(crate) rounds: [RoundId; 2],
    /// The aggregator's state in mid-round, once with a signature missing, once with an upload,
    /// and at the end with its log.
    pub(crate) states: [PathBuf; 3],
    /// The model's files, which the operator stored before any visitor came.
    pub(crate) published_before: [Digest; 2],
}

/// Runs both rounds.
///
/// # Errors
/// `Check` where a round is not published by all, or with another sum than the plain one.
pub(super) fn run(paths: &Paths) -> Outcome<Witnessed> {
    // Every part is on, and small: the search has a pattern for every way to write every number.
    let options = Options {
        tabs: TABS,
        rounds: 1,
        steps: 2,
        batch: 4,
        rank: 1,
        targets: vec![Target::Q],
        prompt: 1,
        engine: "cpu".to_owned(),
        headless: true,
        observe: true,
        record: true,
        ..Options::default()
    };
    let folder = stage::fresh(paths.out.join("witnessed"))?;
    let data = stage::read_data(paths, &options)?;
    let (shares, _) = stage::write_shares(&folder, &options, &data)?;
    let mut config = stage::frame(paths, &options, &data)?.adapter_task()?;
    // A tab that is held back must not be taken for one that is gone.
    config.deadlines.collect_ms = PATIENCE_MS;
    config.deadlines.confirm_ms = PATIENCE_MS;
    let config_file = stage::write_config(&folder, "adapter", &config)?;
    let version_zero = folder.join("version-0.f32");
    Evaluator::start(paths)?.version_zero(&config_file, None, &version_zero)?;
    let aggregator = stage::aggregator(paths, &options, &folder)?;
    let operator = aggregator.operator.clone();
    let content = fs::read(&version_zero).at(&version_zero)?;
    let (first, adapter) = stage::create(&aggregator, &config, &content, 1)?;
    // The same task once more, and the same seeds: the tabs make the same update again.
    let second = task::fresh_id()?;
    operator.prepare(&CreateTask {
        task_id: second,
        config: config.clone(),
        adapter,
        rounds: 1,
    })?;
    operator.succeed(first, second)?;
    let plan = Plan {
        url: operator.base(),
        task: first.to_string(),
        engine: &options.engine,
        policy: "demo",
        shares: &shares,
        seed: options.seed,
        out: &folder,
        record: options.record,
        helper: None,
    };
    let mut driver = Driver::start(paths, &plan)?;
    driver.hold_signature(LATE)?;
    let state = stage::state(&folder);

    let step = Step::start("a round, its state copied before the last signature");
    let mut rounds = Rounds::new(&operator, first, &mut driver, TABS);
    rounds.until_held(&step, 3)?;
    let unsigned = copy(&state, folder.join("state-unsigned"))?;
    rounds.release(LATE)?;
    let one = by_all(rounds.next(&step)?)?;
    step.done("sum equals the plain sum");

    let step = Step::start("the same update again, workerd killed before the last upload");
    driver.hold(LATE)?;
    operator.begin(second)?;
    let mut rounds = Rounds::new(&operator, second, &mut driver, TABS);
    rounds.until_held(&step, 2)?;
    let collecting = copy(&state, folder.join("state-collecting"))?;
    let aggregator = aggregator.restart(paths, &state, &paths.site(options.observe))?;
    step.detail("started again on what it stored");
    rounds.release(LATE)?;
    let other = by_all(rounds.next(&step)?)?;
    step.done("sum equals the plain sum");

    drop(driver);
    drop(aggregator);
    Ok(Witnessed {
        folder,
        rounds: [one, other],
        states: [unsigned, collecting, state],
        published_before: [config.base.weights, config.base.tokenizer],
    })
}

fn by_all(published: Published) -> Outcome<RoundId> {
    let summary = published.summary;
    if usize::from(summary.survivors) == TABS && published.sum_matches_plain {
        return Ok(summary.round);
    }
    Err(Failure::Check(format!(
        "{} survivors, sum as the plain one: {}",
        summary.survivors, published.sum_matches_plain
    )))
}

/// Copies the databases with their logs as they are. Objects are only ever added, so that the state
/// at the end has all of them.
fn copy(state: &Path, to: PathBuf) -> Outcome<PathBuf> {
    fs::create_dir_all(&to).at(&to)?;
    for (number, file) in files_below(&state.join("objects"))?.iter().enumerate() {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let target = to.join(format!("{number}-{name}"));
        fs::copy(file, &target).at(file)?;
    }
    Ok(to)
}

const PATIENCE_MS: u32 = 600_000;
