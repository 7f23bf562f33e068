//! The demo by itself: tabs of real Chromium, a line per round, JSON and a picture at the end.

use super::ablation::{self, Ablation};
use super::options::{Head, Options};
use super::report::{self, Report, RoundScore};
use super::rounds::Rounds;
use super::{stage, svg};
use crate::driver::{Driver, Plan};
use crate::evaluator::{Evaluator, Lesson, Model, Quality};
use crate::failure::{AtPath, Failure, Outcome};
use crate::helper::Helper;
use crate::paths::Paths;
use crate::progress::Step;
use choir_shared::fixed_point;
use choir_shared::task::{AdapterLayout, TaskConfig};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Runs the demo and writes what was asked for.
///
/// # Errors
/// The first step that failed.
pub(super) fn run(paths: &Paths, options: &Options) -> Outcome<Report> {
    let start = Instant::now();
    let folder = stage::fresh_folder(paths)?;
    let data = stage::read_data(paths, options)?;
    let (shares, test) = stage::write_shares(&folder, options, &data)?;
    let frame = stage::frame(paths, options, &data)?;
    let train = folder.join("train.csv");
    crate::data::write(&train, &data.train)?;
    let mut evaluator = Evaluator::start(paths)?;
    let config = frame.adapter_task()?;
    let config_file = stage::write_config(&folder, "adapter", &config)?;
    let centroid_config = frame.centroid_task()?;
    let centroid_file = stage::write_config(&folder, "centroids", &centroid_config)?;

    let aggregator = stage::aggregator(paths, options, &folder)?;
    let operator = aggregator.operator.clone();
    let version_zero = folder.join("version-0.f32");
    let centroids = folder.join("centroids.f32");
    let plan = |task: String| Plan {
        url: aggregator.operator.base(),
        task,
        engine: &options.engine,
        policy: "demo",
        shares: &shares,
        seed: options.seed * 1000,
        out: &folder,
        record: options.record,
        helper: options.mode.helper().map(Helper::key),
    };

    // The tabs open on the first task there is; a centroid round hands them on to the next.
    let (mut driver, device, task) = if options.head == Head::Centroids {
        let layout = layout(&centroid_config)?;
        let zeros = fixed_point::adapter_bytes(&vec![0.0; layout.len()]);
        let (first, _) = stage::create(&aggregator, &centroid_config, &zeros, 1)?;
        let mut driver = Driver::start(paths, &plan(first.to_string()))?;
        let step = Step::start("round of class centroids");
        let mut rounds = Rounds::new(&operator, first, &mut driver, options.tabs);
        let published = rounds.next(&step)?;
        require(
            published.sum_matches_plain,
            "the centroids' sum differs from the plain one",
        )?;
        step.done("sum equals the plain sum");
        let device = rounds.device.clone();
        fs::write(&centroids, &published.adapter).at(&centroids)?;
        evaluator.version_zero(&config_file, Some(&centroids), &version_zero)?;
        let content = fs::read(&version_zero).at(&version_zero)?;
        let (task, _) = stage::create(&aggregator, &config, &content, options.rounds)?;
        operator.succeed(first, task)?;
        (driver, device, task)
    } else {
        evaluator.centroids(&centroid_file, &train, &centroids)?;
        evaluator.version_zero(&config_file, None, &version_zero)?;
        let content = fs::read(&version_zero).at(&version_zero)?;
        let (task, _) = stage::create(&aggregator, &config, &content, options.rounds)?;
        (Driver::start(paths, &plan(task.to_string()))?, None, task)
    };

    let centroid_quality = centroid_quality(&mut evaluator, &frame, &folder, &centroids, &test)?;
    let start_model = Model {
        config: &config_file,
        adapter: &version_zero,
        frozen_head: None,
    };
    let before = evaluator.evaluate(start_model, &test)?;
    eprintln!(
        "  start: accuracy {:.1} %, loss {:.3}; class centroids {:.1} %",
        before.accuracy * 100.0,
        before.loss,
        centroid_quality.accuracy * 100.0
    );

    let mut scores: Vec<RoundScore> = Vec::new();
    let mut last = version_zero.clone();
    let mut rounds = Rounds::new(&operator, task, &mut driver, options.tabs).closing(options);
    rounds.device = device;
    rounds.arm()?;
    for number in 1..=options.rounds {
        let step = Step::start(format!("round {number} of {}", options.rounds));
        let published = rounds.next(&step)?;
        last = folder.join(format!("version-{number}.f32"));
        fs::write(&last, &published.adapter).at(&last)?;
        step.detail("evaluating");
        let quality = evaluator.evaluate(
            Model {
                adapter: &last,
                ..start_model
            },
            &test,
        )?;
        let summary = &published.summary;
        step.done(&format!(
            "accuracy {:.1} %, loss {:.3}, {} of {} in the sum, sum {} the plain one, {:.0} ms a step",
            quality.accuracy * 100.0,
            quality.loss,
            summary.survivors,
            summary.clients,
            if published.sum_matches_plain { "equals" } else { "DIFFERS FROM" },
            published.ms_per_step
        ));
        scores.push(RoundScore {
            accuracy: quality.accuracy,
            loss: quality.loss,
            clients: summary.clients,
            survivors: summary.survivors,
            dropped: summary.dropped,
            bytes_up: summary.bytes_up,
            // The aggregator counts what its round sent; each client also fetched the adapter.
            bytes_down: summary.bytes_down
                + u64::from(summary.clients) * published.adapter.len() as u64,
            ms_per_step: published.ms_per_step,
            sum_matches_plain: published.sum_matches_plain,
        });
    }
    let (device, adapter) = rounds.device.clone().unwrap_or_default();
    drop(driver);
    let processes = report::processes(&aggregator);
    drop(aggregator);

    let mut best_local_accuracy = None;
    let mut ablation = None;
    if options.compare {
        let best = best_local(
            &mut evaluator,
            start_model,
            &shares,
            &test,
            options,
            &folder,
        )?;
        best_local_accuracy = Some(best);
        if options.head == Head::Centroids {
            let parts = Ablation {
                frame: &frame,
                shares: &shares,
                test: &test,
                folder: &folder,
            };
            ablation = Some(ablation::run(&mut evaluator, &parts, &centroids)?);
        }
    }
    let report = Report {
        mode: options.mode.name(),
        processes,
        device,
        adapter,
        evaluator: Evaluator::name().to_owned(),
        start: before.into(),
        centroid_accuracy: centroid_quality.accuracy,
        best_local_accuracy,
        update_norm: update_norm(&layout(&config)?, &version_zero, &last)?,
        rounds: scores,
        ablation,
        options: report::choices(options),
        seconds: start.elapsed().as_secs_f64(),
    };
    write(paths, options, &report)?;
    Ok(report)
}

fn layout(config: &TaskConfig) -> Outcome<AdapterLayout> {
    AdapterLayout::new(config).map_err(|error| Failure::Data(error.to_string()))
}

fn require(holds: bool, otherwise: &str) -> Outcome<()> {
    if holds {
        Ok(())
    } else {
        Err(Failure::Check(otherwise.to_owned()))
    }
}

/// The baseline: the head that the centroids make on the frozen encoder, nothing trained.
fn centroid_quality(
    evaluator: &mut Evaluator,
    frame: &super::task::Frame<'_>,
    folder: &Path,
    centroids: &Path,
    test: &Path,
) -> Outcome<Quality> {
    let config = stage::write_config(folder, "baseline", &frame.head_task()?)?;
    let adapter = folder.join("baseline.f32");
    evaluator.version_zero(&config, Some(centroids), &adapter)?;
    evaluator.evaluate(
        Model {
            config: &config,
            adapter: &adapter,
            frozen_head: None,
        },
        test,
    )
}

fn best_local(
    evaluator: &mut Evaluator,
    start: Model<'_>,
    shares: &[PathBuf],
    test: &Path,
    options: &Options,
    folder: &Path,
) -> Outcome<f64> {
    let step = Step::start("each tab trained alone for the same steps");
    let steps = options.rounds * u32::from(options.steps);
    let mut best: f64 = 0.0;
    for (tab, share) in shares.iter().enumerate() {
        step.detail(format!("tab {tab}"));
        let out = folder.join(format!("alone-{tab}.f32"));
        let lesson = Lesson {
            examples: share,
            test,
            steps,
            seed: options.seed,
        };
        best = best.max(evaluator.train(start, &lesson, &out)?.accuracy);
    }
    step.done(&format!("best {:.1} %", best * 100.0));
    Ok(best)
}

/// L2 distance between two versions, for each part that is on.
fn update_norm(
    layout: &AdapterLayout,
    before: &Path,
    after: &Path,
) -> Outcome<BTreeMap<String, f64>> {
    let read = |path: &Path| -> Outcome<Vec<f32>> {
        fixed_point::adapter_from_bytes(&fs::read(path).at(path)?)
            .ok_or_else(|| Failure::Data(format!("{} is no adapter", path.display())))
    };
    let (before, after) = (read(before)?, read(after)?);
    let mut squares: BTreeMap<String, f64> = BTreeMap::new();
    for part in layout.parts() {
        let name = part.kind.to_string();
        let trained = name.split('/').next().unwrap_or(&name);
        let square: f64 = part
            .range
            .clone()
            .map(|place| f64::from(after[place]) - f64::from(before[place]))
            .map(|difference| difference * difference)
            .sum();
        *squares.entry(trained.to_owned()).or_default() += square;
    }
    Ok(squares
        .into_iter()
        .map(|(name, square)| (name, square.sqrt()))
        .collect())
}

fn write(paths: &Paths, options: &Options, report: &Report) -> Outcome<()> {
    let json = options
        .json
        .clone()
        .unwrap_or_else(|| paths.out.join("demo.json"));
    let picture = options
        .svg
        .clone()
        .unwrap_or_else(|| json.with_extension("svg"));
    let text =
        serde_json::to_string_pretty(report).map_err(|error| Failure::Data(error.to_string()))?;
    fs::write(&json, text + "\n").at(&json)?;
    fs::write(&picture, svg::draw(report)).at(&picture)?;
    eprintln!("  {} and {}", json.display(), picture.display());
    Ok(())
}
