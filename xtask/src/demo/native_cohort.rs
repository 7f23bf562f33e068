//! Four native clients that train, one of them lost in mid-upload: the round closes, and its sum is
//! that of the other three.

use super::options::Options;
use super::{plain, stage};
use crate::aggregator::Aggregator;
use crate::failure::{Failure, Outcome};
use crate::natives::{self, ClientEvent, Natives, Next};
use crate::paths::Paths;
use crate::progress::Step;
use choir_shared::fixed_point;
use choir_shared::ids::TaskId;
use choir_shared::task::AdapterLayout;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The client that is lost.
const LOST: usize = 1;

/// Runs the scenario.
///
/// # Errors
/// `Check` where the sum is another.
pub(super) fn lose_one(paths: &Paths) -> Outcome<()> {
    let program = natives::build_observed(paths)?;
    let options = Options {
        tabs: 0,
        native: 4,
        headless: true,
        steps: 1,
        batch: 4,
        ..Options::default()
    };
    let folder = stage::fresh(paths.out.join("native-cohort"))?;
    let data = stage::read_data(paths, &options)?;
    let (shares, _) = stage::write_shares(&folder, &options, &data)?;
    let config = stage::frame(paths, &options, &data)?.head_task()?;
    let layout = AdapterLayout::new(&config).map_err(|error| Failure::Data(error.to_string()))?;
    let zeros = fixed_point::adapter_bytes(&vec![0.0; layout.len()]);
    let aggregator = stage::aggregator(paths, &options, &folder)?;
    let (task, _) = stage::create(&aggregator, &config, &zeros, 1)?;
    let step = Step::start("four native clients, one lost in mid-upload");
    let plan = plan(paths, &aggregator, task, &shares, &folder);
    let told = hear(&Natives::start(&program, &plan, &folder)?)?;

    let status = aggregator.operator.task(task)?;
    let summary = status.history.first();
    let summary = summary.ok_or_else(|| Failure::Check("no round was published".to_owned()))?;
    if (summary.clients, summary.survivors, told.lost) != (4, 3, 1) {
        return Err(Failure::Check(format!(
            "{} of {} clients in the sum, {} lost",
            summary.survivors, summary.clients, told.lost
        )));
    }
    let survivors = told.plain.iter().filter(|(client, _)| **client != LOST);
    let expected = plain::sum(survivors.map(|(_, file)| file))?;
    if plain::words(&aggregator.operator.object(summary.sum)?) != expected {
        return Err(Failure::Check("the sum is another".to_owned()));
    }
    step.done("sum equals the plain sum of the other three");
    Ok(())
}

fn plan(
    paths: &Paths,
    aggregator: &Aggregator,
    task: TaskId,
    shares: &[PathBuf],
    folder: &Path,
) -> Value {
    let clients: Vec<Value> = shares
        .iter()
        .enumerate()
        .map(|(number, share)| {
            let lose = (number == LOST).then_some("mid-upload");
            json!({ "source": { "share": share }, "lose": lose })
        })
        .collect();
    json!({
        "url": aggregator.operator.base(),
        "task": task,
        "policy": { "min_cohort": 3 },
        "rounds": 1,
        "model": paths.model(),
        "threads": 2,
        "out": folder,
        "clients": clients,
    })
}

/// What the clients said.
#[derive(Default)]
struct Heard {
    plain: BTreeMap<usize, PathBuf>,
    lost: usize,
}

fn hear(natives: &Natives) -> Outcome<Heard> {
    let mut heard = Heard::default();
    let start = Instant::now();
    loop {
        match natives.next(POLL)? {
            Next::Over => return Ok(heard),
            Next::Nothing if start.elapsed() > PATIENCE => {
                return Err(Failure::Check("the clients did not end".to_owned()));
            }
            Next::Nothing => {}
            Next::Told(told) => match told.event {
                ClientEvent::Plain { file, .. } => drop(heard.plain.insert(told.client, file)),
                ClientEvent::Lost { .. } => heard.lost += 1,
                ClientEvent::Ended {
                    reason,
                    failed: true,
                } => return Err(Failure::Check(format!("client {}: {reason}", told.client))),
                _ => {}
            },
        }
    }
}

const POLL: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(180);
