//! A cohort of three that loses one: the round ends without a sum, and the next one, with a fresh
//! tab, starts from the same version and is published.

use super::options::Options;
use super::stage;
use crate::driver::{Driver, Plan};
use crate::evaluator::Evaluator;
use crate::failure::{AtPath, Failure, Outcome};
use crate::operator::Operator;
use crate::paths::Paths;
use crate::progress::Step;
use choir_shared::control::TaskStatus;
use choir_shared::ids::TaskId;
use choir_shared::round::PhaseName;
use std::fs;
use std::time::{Duration, Instant};

/// Runs the scenario.
///
/// # Errors
/// `Check` where the lossy round publishes, or the next one does not.
pub(super) fn lose_one(paths: &Paths) -> Outcome<()> {
    let options = Options {
        tabs: 3,
        rounds: 1,
        steps: 1,
        batch: 4,
        engine: "cpu".to_owned(),
        headless: true,
        observe: true,
        ..Options::default()
    };
    let folder = stage::fresh_folder(paths)?;
    let data = stage::read_data(paths, &options)?;
    let (shares, _) = stage::write_shares(&folder, &options, &data)?;
    let config = stage::frame(paths, &options, &data)?.adapter_task()?;
    let config_file = stage::write_config(&folder, "adapter", &config)?;
    let version_zero = folder.join("version-0.f32");
    Evaluator::start(paths)?.version_zero(&config_file, None, &version_zero)?;
    let aggregator = stage::aggregator(paths, &options, &folder)?;
    let operator = &aggregator.operator;
    let content = fs::read(&version_zero).at(&version_zero)?;
    let (task, _) = stage::create(&aggregator, &config, &content, options.rounds)?;
    let lossy = operator
        .task(task)?
        .round
        .ok_or_else(|| check("no round is open"))?;
    let plan = Plan {
        url: operator.base(),
        task: task.to_string(),
        engine: &options.engine,
        policy: "demo",
        shares: &shares,
        seed: options.seed,
        out: &folder,
        record: false,
        helper: None,
    };
    let mut driver = Driver::start(paths, &plan)?;
    driver.close_at(0, "after-share")?;

    let step = Step::start("three tabs, one closes after SHARE");
    let status = wait(operator, task, &driver, |status| {
        status.round.is_some_and(|round| round != lossy) || !status.history.is_empty()
    })?;
    if !status.history.is_empty() || status.version.0 != 0 {
        return Err(check("a round of three that lost one was published"));
    }
    let round = operator.round(task, lossy)?;
    if round.phase != PhaseName::Aborted {
        return Err(check("the lossy round did not end as aborted"));
    }
    step.done("aborted, nothing published");

    let step = Step::start("the next round, with a fresh tab");
    driver.open(0)?;
    let status = wait(operator, task, &driver, |status| !status.history.is_empty())?;
    let published = status
        .history
        .first()
        .is_some_and(|round| round.survivors == 3);
    if !published || status.version.0 != 1 {
        return Err(check("the next round was not published by all three"));
    }
    step.done("published");
    Ok(())
}

fn wait(
    operator: &Operator,
    task: TaskId,
    driver: &Driver,
    until: impl Fn(&TaskStatus) -> bool,
) -> Outcome<TaskStatus> {
    let start = Instant::now();
    loop {
        while driver.next(POLL)?.is_some() {}
        let status = operator.task(task)?;
        if until(&status) {
            return Ok(status);
        }
        if start.elapsed() > PATIENCE {
            return Err(check("nothing happened in time"));
        }
    }
}

fn check(what: &str) -> Failure {
    Failure::Check(what.to_owned())
}

const POLL: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(10 * 60);
