//! One cohort under the production policy: tabs of real Chromium and native clients, all training on
//! shares of their own, two of them lost. The published sum must be that of the survivors, word for
//! word.

use super::options::Options;
use super::report::Score;
use super::rounds::{Published, Rounds};
use super::stage;
use crate::driver::{Driver, Plan};
use crate::evaluator::{Evaluator, Model};
use crate::failure::{AtPath, Failure, Outcome};
use crate::natives::{self, Natives};
use crate::paths::Paths;
use crate::progress::Step;
use choir_shared::ids::TaskId;
use choir_shared::policy::Policy;
use choir_shared::secure_sum::Parameters;
use choir_shared::task::TaskConfig;
use serde::Serialize;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The tab that is closed, and where.
const TAB: (usize, &str) = (0, "mid-upload");
/// The native client that is lost, and where.
const NATIVE: (usize, &str) = (0, "after-share");
/// Clients that are lost.
const LOST: u16 = 2;

/// What the run measured.
#[derive(Debug, Serialize)]
struct Report {
    policy: Policy,
    parameters: Option<Parameters>,
    clients: u16,
    survivors: u16,
    dropped: u16,
    lost: Value,
    sum_matches_plain: bool,
    /// Mean of the clients' last steps.
    training_loss: f64,
    /// Each client's, tabs first.
    training_losses: Vec<f64>,
    start: Score,
    end: Score,
    bytes_up: u64,
    bytes_down: u64,
    /// From the first tab's start to the published sum.
    round_seconds: f64,
    seconds: f64,
    options: Value,
}

/// Runs it and writes what was asked for.
///
/// # Errors
/// `Check` where the sum is not the survivors', or not all but the lost are in it.
pub(super) fn run(paths: &Paths, options: &Options) -> Outcome<()> {
    let start = Instant::now();
    let program = natives::build_observed(paths)?;
    let folder = stage::fresh_folder(paths)?;
    let data = stage::read_data(paths, options)?;
    let (shares, test) = stage::write_shares(&folder, options, &data)?;
    let config = stage::frame(paths, options, &data)?.adapter_task()?;
    let mut stand = Stand {
        evaluator: Evaluator::start(paths)?,
        config_file: stage::write_config(&folder, "adapter", &config)?,
        test,
        folder,
    };
    let version_zero = stand.folder.join("version-0.f32");
    stand
        .evaluator
        .version_zero(&stand.config_file, None, &version_zero)?;
    let before = stand.score(&version_zero)?;

    let begun = Instant::now();
    let (published, losses) = stand.round(paths, options, &program, &config, &shares)?;
    let round_seconds = begun.elapsed().as_secs_f64();
    let version_one = stand.folder.join("version-1.f32");
    fs::write(&version_one, &published.adapter).at(&version_one)?;
    let after = stand.score(&version_one)?;

    let summary = &published.summary;
    let report = Report {
        policy: Policy::default(),
        parameters: Parameters::new(
            summary.clients,
            config.cohort.corrupt_permille,
            config.cohort.drop_permille,
        ),
        clients: summary.clients,
        survivors: summary.survivors,
        dropped: summary.dropped,
        lost: json!([
            { "tab": TAB.0, "at": TAB.1 },
            { "native": NATIVE.0, "at": NATIVE.1 },
        ]),
        sum_matches_plain: published.sum_matches_plain,
        training_loss: losses.iter().sum::<f64>() / losses.len().max(1) as f64,
        training_losses: losses,
        start: before,
        end: after,
        bytes_up: summary.bytes_up,
        // The aggregator counts what its round sent; each client also fetched the adapter.
        bytes_down: summary.bytes_down
            + u64::from(summary.clients) * published.adapter.len() as u64,
        round_seconds,
        seconds: start.elapsed().as_secs_f64(),
        options: choices(options),
    };
    write(paths, options, &report)?;
    judge(options, &report)
}

/// What the run stands on.
struct Stand {
    evaluator: Evaluator,
    config_file: PathBuf,
    test: PathBuf,
    folder: PathBuf,
}

impl Stand {
    fn score(&mut self, adapter: &Path) -> Outcome<Score> {
        let model = Model {
            config: &self.config_file,
            adapter,
            frozen_head: None,
        };
        Ok(self.evaluator.evaluate(model, &self.test)?.into())
    }

    /// The round, and the loss of each client's last step.
    fn round(
        &self,
        paths: &Paths,
        options: &Options,
        program: &Path,
        config: &TaskConfig,
        shares: &[PathBuf],
    ) -> Outcome<(Published, Vec<f64>)> {
        let aggregator = stage::aggregator(paths, options, &self.folder)?;
        let operator = aggregator.operator.clone();
        let version_zero = self.folder.join("version-0.f32");
        let content = fs::read(&version_zero).at(&version_zero)?;
        let (task, _) = stage::create(&aggregator, config, &content, options.rounds)?;
        let (of_tabs, of_natives) = shares.split_at(options.tabs.min(shares.len()));
        let seed = options.seed * 1000;
        let plan = Plan {
            url: operator.base(),
            task: task.to_string(),
            engine: &options.engine,
            policy: "default",
            shares: of_tabs,
            seed,
            out: &self.folder,
            record: options.record,
            helper: None,
        };
        let step = Step::start(format!(
            "a round of {} tabs and {} native clients",
            options.tabs, options.native
        ));
        let of_natives = self.plan(paths, &plan, task, of_natives);
        let natives = Natives::start(program, &of_natives, &self.folder)?;
        let mut driver = Driver::start(paths, &plan)?;
        let rounds = Rounds::new(&operator, task, &mut driver, options.tabs);
        let mut rounds = rounds.with_natives(natives, options.native);
        rounds.close(TAB.0, TAB.1)?;
        let published = rounds.next(&step)?;
        let sum = if published.sum_matches_plain {
            "equals"
        } else {
            "DIFFERS FROM"
        };
        step.done(&format!(
            "{} of {} in the sum, which {sum} the plain one",
            published.summary.survivors, published.summary.clients
        ));
        let losses = rounds.losses.values().copied().collect();
        Ok((published, losses))
    }

    fn plan(&self, paths: &Paths, tabs: &Plan<'_>, task: TaskId, shares: &[PathBuf]) -> Value {
        let clients: Vec<Value> = shares
            .iter()
            .enumerate()
            .map(|(number, share)| {
                let lose = (number == NATIVE.0).then_some(NATIVE.1);
                json!({ "source": { "share": share }, "lose": lose })
            })
            .collect();
        json!({
            "url": tabs.url,
            "task": task,
            "model": paths.model(),
            "threads": std::thread::available_parallelism().map_or(1, usize::from),
            "seed": tabs.seed + tabs.shares.len() as u64,
            "out": self.folder,
            "clients": clients,
        })
    }
}

/// Whether the run showed what it is there to show.
fn judge(options: &Options, report: &Report) -> Outcome<()> {
    let clients = options.clients() as u16;
    let whole = report.clients == clients && report.survivors == clients - LOST;
    if whole && report.dropped == LOST && report.sum_matches_plain {
        return Ok(());
    }
    Err(Failure::Check(format!(
        "{} clients, {} survivors, {} dropped, sum as the plain one: {}",
        report.clients, report.survivors, report.dropped, report.sum_matches_plain
    )))
}

fn choices(options: &Options) -> Value {
    json!({
        "tabs": options.tabs,
        "native": options.native,
        "data": options.data,
        "engine": options.engine,
        "labels": options.labels.map(|labels| format!("{labels:?}")),
        "split": format!("{:?}", options.split),
        "batch": options.batch,
        "steps": options.steps,
        "rank": options.rank,
        "targets": options.targets,
        "prompt": options.prompt,
        "learning_rate": options.learning_rate,
        "seed": options.seed,
    })
}

fn write(paths: &Paths, options: &Options, report: &Report) -> Outcome<()> {
    let file = options.json.clone();
    let file = file.unwrap_or_else(|| paths.out.join("cohort.json"));
    let text =
        serde_json::to_string_pretty(report).map_err(|error| Failure::Data(error.to_string()))?;
    fs::write(&file, text + "\n").at(&file)?;
    eprintln!(
        "  {} clients, {} in the sum, loss {:.3} to {:.3}, {:.0} s; {}",
        report.clients,
        report.survivors,
        report.start.loss,
        report.end.loss,
        report.seconds,
        file.display()
    );
    Ok(())
}
