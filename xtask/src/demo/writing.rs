//! `--task writing`: tabs of real Chromium adapt a decoder to what they have been given to read, one
//! speaker of Shakespeare's plays each. After every round the global adapter is measured, natively,
//! on what all of them say in the end, which nobody has trained on; its loss must fall.

use super::decoder::Files;
use super::editor;
use super::options::Options;
use super::report;
use super::rounds::{Published, Rounds};
use super::stage;
use crate::driver::{Driver, Plan};
use crate::evaluator::{Evaluator, TextScore};
use crate::failure::{AtPath, Failure, Outcome};
use crate::helper::Helper;
use crate::natives::{self, Natives};
use crate::paths::Paths;
use crate::progress::Step;
use choir_shared::policy::Policy;
use serde::Serialize;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One round of the curve.
#[derive(Serialize)]
struct WritingRound {
    #[serde(flatten)]
    score: TextScore,
    clients: u16,
    survivors: u16,
    bytes_up: u64,
    ms_per_step: f64,
    sum_matches_plain: bool,
}

/// Runs the demo and writes the curve.
///
/// # Errors
/// The first step that failed; `Check` where a sum is not the plain one or the loss does not fall.
pub(super) fn run(paths: &Paths, options: &Options, files: &Files) -> Outcome<()> {
    let start = Instant::now();
    let folder = stage::fresh_folder(paths)?;
    let mut evaluator = Evaluator::start(paths)?;
    let speakers = evaluator.deal_speakers(files.text()?, options.clients(), &folder)?;
    eprintln!(
        "  {} clients read {}",
        options.clients(),
        speakers.join(", ")
    );
    let config = files.task(options)?;
    let config_file = stage::write_config(&folder, "writing", &config)?;
    let version_zero = folder.join("version-0.f32");
    evaluator.language_version_zero(&config_file, &version_zero)?;
    let held_out = folder.join("held-out.txt");
    let mut score =
        |adapter: &Path| evaluator.score_text(&config_file, files.base(), adapter, &held_out);
    let before = score(&version_zero)?;
    eprintln!("  start: {}", in_words(before));

    let aggregator = stage::aggregator_with(paths, options, &folder, files.base())?;
    let content = fs::read(&version_zero).at(&version_zero)?;
    let (task, _) = stage::create(&aggregator, &config, &content, options.rounds)?;
    let shares: Vec<PathBuf> = (0..options.clients())
        .map(|client| folder.join(format!("speaker-{client}.txt")))
        .collect();
    let (of_tabs, of_natives) = shares.split_at(options.tabs);
    let plan = Plan {
        url: aggregator.operator.base(),
        task: task.to_string(),
        engine: &options.engine,
        policy: "demo",
        shares: of_tabs,
        seed: options.seed * 1000,
        out: &folder,
        record: options.record,
        helper: options.mode.helper().map(Helper::key),
    };
    let natives = match of_natives {
        [] => None,
        shares => Some(natives(paths, &plan, files, shares)?),
    };
    let mut driver = Driver::start(paths, &plan)?;
    let mut curve = Vec::new();
    let mut rounds =
        Rounds::new(&aggregator.operator, task, &mut driver, options.tabs).closing(options);
    if let Some(natives) = natives {
        rounds = rounds.with_natives(natives, options.native);
    }
    rounds.arm()?;
    for number in 1..=options.rounds {
        let step = Step::start(format!("round {number} of {}", options.rounds));
        let published = rounds.next(&step)?;
        let version = folder.join(format!("version-{number}.f32"));
        fs::write(&version, &published.adapter).at(&version)?;
        step.detail("evaluating");
        let round = round_of(&published, score(&version)?);
        step.done(&line(&round));
        curve.push(round);
    }
    let device = rounds.device.clone().unwrap_or_default();
    let suggestion = editor::suggest(paths, options, &mut driver)?;
    let result = json!({
        "task": "writing",
        "model": files.name(),
        "speakers": speakers,
        "device": device.0,
        "adapter": device.1,
        "evaluator": Evaluator::name(),
        "processes": report::processes(&aggregator),
        "start": before,
        "rounds": curve,
        "suggestion": suggestion,
        "options": choices(options),
        "seconds": start.elapsed().as_secs_f64(),
    });
    write(paths, options, &result)?;
    check(before, &curve)
}

/// Starts native clients with texts of their own, beside the tabs of a plan.
fn natives(paths: &Paths, tabs: &Plan<'_>, files: &Files, shares: &[PathBuf]) -> Outcome<Natives> {
    let clients = shares
        .iter()
        .map(|share| json!({ "source": { "text": share } }));
    let plan = json!({
        "url": tabs.url,
        "task": tabs.task,
        "policy": Policy::demo(),
        "model": files.folder(),
        "seed": tabs.seed + tabs.shares.len() as u64,
        "out": tabs.out,
        "clients": clients.collect::<Vec<_>>(),
    });
    Natives::start(&natives::build_observed(paths)?, &plan, tabs.out)
}

/// The choices that a reader needs to repeat the run.
fn choices(options: &Options) -> Value {
    json!({
        "mode": options.mode.name(),
        "tabs": options.tabs,
        "native": options.native,
        "rounds": options.rounds,
        "data": options.data,
        "engine": options.engine,
        "batch": options.batch,
        "steps": options.steps,
        "rank": options.rank,
        "train": options.train.names(),
        "learning_rate": options.learning_rate,
        "close_one": options.close_one,
        "seed": options.seed,
    })
}

fn round_of(published: &Published, score: TextScore) -> WritingRound {
    let summary = &published.summary;
    WritingRound {
        score,
        clients: summary.clients,
        survivors: summary.survivors,
        bytes_up: summary.bytes_up,
        ms_per_step: published.ms_per_step,
        sum_matches_plain: published.sum_matches_plain,
    }
}

fn in_words(
    TextScore {
        loss,
        bits_per_character,
    }: TextScore,
) -> String {
    format!("held-out loss {loss:.3} a token, {bits_per_character:.3} bits a character")
}

fn line(round: &WritingRound) -> String {
    format!(
        "{}, {} of {} in the sum, sum {} the plain one, {:.0} ms a step",
        in_words(round.score),
        round.survivors,
        round.clients,
        if round.sum_matches_plain {
            "equals"
        } else {
            "DIFFERS FROM"
        },
        round.ms_per_step
    )
}

/// Every sum is the plain one, and the last version is better than version 0 and than the first
/// round's.
fn check(before: TextScore, curve: &[WritingRound]) -> Outcome<()> {
    if !curve.iter().all(|round| round.sum_matches_plain) {
        return Err(Failure::Check(
            "a sum differs from the plain one".to_owned(),
        ));
    }
    let losses = || {
        [before]
            .into_iter()
            .chain(curve.iter().map(|round| round.score))
    };
    let last = curve.last().map_or(before.loss, |round| round.score.loss);
    let earlier = losses().take(curve.len().min(2));
    if earlier.into_iter().all(|score| last < score.loss) {
        return Ok(());
    }
    let complaint = "the held-out loss has not fallen over the rounds";
    Err(Failure::Check(complaint.to_owned()))
}

fn write(paths: &Paths, options: &Options, result: &Value) -> Outcome<()> {
    let usual = paths.out.join("writing.json");
    let file = options.json.clone().unwrap_or(usual);
    fs::write(&file, format!("{result:#}\n")).at(&file)?;
    eprintln!("  {}", file.display());
    Ok(())
}
