//! workerd is killed in mid-round, when some masked updates have arrived and one has not, and
//! started again on what it stored: the round is published as if nothing had happened.

use super::options::Options;
use super::rounds::Rounds;
use super::stage;
use crate::driver::{Driver, Plan};
use crate::evaluator::Evaluator;
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use std::fs;

/// The tab whose upload is kept back over the restart.
const LATE: usize = 0;

/// Runs the scenario.
///
/// # Errors
/// `Check` where the round is not published, or with another sum than the plain one.
pub(super) fn run(paths: &Paths) -> Outcome<()> {
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
    let operator = aggregator.operator.clone();
    let content = fs::read(&version_zero).at(&version_zero)?;
    let (task, _) = stage::create(&aggregator, &config, &content, options.rounds)?;
    let plan = Plan {
        url: operator.base(),
        task: task.to_string(),
        engine: &options.engine,
        shares: &shares,
        seed: options.seed,
        out: &folder,
        record: false,
    };
    let mut driver = Driver::start(paths, &plan)?;
    driver.hold(LATE)?;
    let mut rounds = Rounds::new(&operator, task, &mut driver, options.tabs, false);

    let step = Step::start("two of three updates have arrived");
    rounds.until_held(&step, 2)?;
    step.done("");
    let step = Step::start("workerd killed and started again");
    let state = stage::state(&folder);
    let restarted = aggregator.restart(paths, &state, &paths.site(options.observe))?;
    step.done(restarted.operator.base());

    let step = Step::start("the round goes on");
    rounds.release(LATE)?;
    let published = rounds.next(&step)?;
    if published.summary.survivors != 3 || !published.sum_matches_plain {
        return Err(Failure::Check(format!(
            "{} survivors, sum as the plain one: {}",
            published.summary.survivors, published.sum_matches_plain
        )));
    }
    step.done("published, sum equals the plain sum");
    Ok(())
}
