//! The whole path on real parts: real Chromium on WebGPU, the real model, real workerd.

use super::counts::Counts;
use crate::demo::{
    self, Report,
    options::{Head, Kind, Mode, Options},
};
use crate::failure::{AtPath, Failure, Outcome};
use crate::helper::Helper;
use crate::paths::Paths;
use crate::size;
use crate::stamp::files_below;
use std::fs;

/// Runs the scenarios, the first slice first.
pub(super) fn run(paths: &Paths, counts: &mut Counts) {
    if !counts.check(
        "three tabs on WebGPU, one round, sum as the plain one",
        first_slice(paths),
    ) {
        return;
    }
    counts.check(
        "a masked sum of centroids, then a round from its head",
        centroids_first(paths),
    );
    counts.check("one tab of four closes in each round", closing_tabs(paths));
    counts.check(
        "two aggregators: a tab closes after its report and is in the sum",
        two_aggregators(paths),
    );
    counts.check(
        "three tabs train a decoder: the held-out loss falls over two rounds",
        writing(paths),
    );
    counts.check(
        "a cohort of three that loses one publishes nothing",
        demo::lose_one_of_three(paths),
    );
    counts.check(
        "four native clients, one lost in mid-upload: the sum of the other three",
        demo::lose_one_native(paths),
    );
    counts.check(
        "release artefacts cannot show a plain vector",
        no_observer(paths),
    );
    counts.check(
        "a visitor downloads at most 700,000 bytes",
        small_download(paths),
    );
}

/// A LoRA step in each of three tabs, masks on the complete graph, and a published sum that is
/// the plain one word for word.
fn first_slice(paths: &Paths) -> Outcome<()> {
    eprintln!("  three tabs on WebGPU, one round");
    // With a head of zero the first step moves the head alone, the second the LoRA factors too.
    let options = Options {
        engine: "webgpu".to_owned(),
        steps: 2,
        ..small(3, 1)
    };
    let report = demo::measure(paths, &options)?;
    require(report.device == "webgpu", "the device is not WebGPU")?;
    eprintln!("  adapter: {}", report.adapter);
    sums_match(&report)?;
    let moved = report
        .update_norm
        .get("lora")
        .is_some_and(|norm| *norm > LEAST_NORM);
    require(moved, "the LoRA factors did not move")
}

/// Tabs close before SHARE, after SHARE, in mid-upload and after UPLOAD, in turn.
fn closing_tabs(paths: &Paths) -> Outcome<()> {
    eprintln!("  four tabs, one closes in each of four rounds");
    let report = demo::measure(
        paths,
        &Options {
            close_one: true,
            ..small(4, 4)
        },
    )?;
    sums_match(&report)?;
    let dropped: Vec<u16> = report.rounds.iter().map(|round| round.dropped).collect();
    require(
        dropped == [1, 1, 1, 0],
        &format!("dropped clients by round: {dropped:?}"),
    )
}

/// A round of centroids, and a round of training whose head starts from them.
fn centroids_first(paths: &Paths) -> Outcome<()> {
    eprintln!("  three tabs, a round of centroids and a round of training");
    let options = Options {
        head: Head::Centroids,
        ..small(3, 1)
    };
    let report = demo::measure(paths, &options)?;
    sums_match(&report)
}

/// The demo of a decoder fails by itself where a sum is not the plain one or the loss does not fall;
/// without the shared data there is nothing to train on.
fn writing(paths: &Paths) -> Outcome<()> {
    if std::env::var_os("CHOIR_SHARED").is_none() {
        eprintln!("  skipped: CHOIR_SHARED names no folder with the decoder and the plays");
        return Ok(());
    }
    eprintln!("  three tabs, each with a speaker's text, two rounds");
    let options = Options {
        task: Kind::Writing,
        steps: 10,
        batch: 8,
        learning_rate: 4e-3,
        ..small(3, 2)
    };
    demo::write(paths, &options)
}

/// Two workers, and three tabs of which one closes as soon as its report is taken.
fn two_aggregators(paths: &Paths) -> Outcome<()> {
    eprintln!("  two aggregators, three tabs, one closes after its report");
    let report = demo::measure(
        paths,
        &Options {
            mode: Mode::TwoAggregators(Helper::fresh()?),
            close_one: true,
            ..small(3, 1)
        },
    )?;
    sums_match(&report)?;
    let survivors: Vec<u16> = report.rounds.iter().map(|round| round.survivors).collect();
    require(
        survivors == [3],
        &format!("clients in the sum by round: {survivors:?}"),
    )
}

/// The word that the test build's way to a plain vector cannot do without.
fn no_observer(paths: &Paths) -> Outcome<()> {
    let released = [
        "extension",
        "sdk/index.js",
        "sdk/browser.js",
        "sdk/thread.js",
        "sdk/wasm",
    ];
    let mut folders = vec![paths.site(false), paths.wasm("protocol"), paths.worker()];
    folders.extend(released.map(|name| paths.out.join(name)));
    for folder in folders {
        for file in files_below(&folder)? {
            let content = fs::read(&file).at(&file)?;
            for word in OBSERVER {
                let found = content
                    .windows(word.len())
                    .any(|window| window == word.as_bytes());
                require(!found, &format!("{} holds {word}", file.display()))?;
            }
        }
    }
    let observing = paths.wasm("protocol-observe").join("choir_wasm_client.js");
    let script = fs::read_to_string(&observing).at(&observing)?;
    require(
        script.contains(OBSERVER[0]),
        "the observing build is not told by that word",
    )
}

fn small_download(paths: &Paths) -> Outcome<()> {
    let bytes = size::webgpu_bytes(&size::measure(paths)?);
    require(bytes <= size::LIMIT, &format!("{bytes} bytes"))
}

fn small(tabs: usize, rounds: u32) -> Options {
    Options {
        tabs,
        rounds,
        engine: "cpu".to_owned(),
        headless: true,
        observe: true,
        steps: 1,
        batch: 4,
        json: None,
        ..Options::default()
    }
}

fn sums_match(report: &Report) -> Outcome<()> {
    let differs = report
        .rounds
        .iter()
        .position(|round| !round.sum_matches_plain);
    match differs {
        None => Ok(()),
        Some(round) => Err(Failure::Check(format!(
            "round {}: the sum differs from the plain one",
            round + 1
        ))),
    }
}

fn require(holds: bool, otherwise: &str) -> Outcome<()> {
    if holds {
        Ok(())
    } else {
        Err(Failure::Check(otherwise.to_owned()))
    }
}

/// What only the test build's scripts say.
const OBSERVER: [&str; 2] = ["plainWords", "plain_words"];
/// Weight decay alone moves the factors by a few ten-thousandths.
const LEAST_NORM: f64 = 0.01;
