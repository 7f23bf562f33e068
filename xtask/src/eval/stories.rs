//! stories260K, natively and in Chromium on both engines.

use crate::failure::{AtPath, Failure, Outcome};
use crate::language_page::Plan;
use crate::paths::Paths;
use crate::progress::Step;
use crate::{build, setup};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Engines in the browser.
const ENGINES: [&str; 2] = ["wgsl", "cpu"];
/// Tokens whose time is taken.
const TIMED: usize = 120;
/// How far losses may be from those of the independent forward pass, as a part of them.
const TOLERANCE: f64 = 1e-4;
const REFERENCE: &str = "wasm-client/tests/miniatures/stories260k.json";

#[derive(Deserialize)]
struct Reference {
    texts: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    tokens: Vec<u32>,
    mean_loss: f64,
}

/// What the page says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    engine: String,
    adapter: String,
    text: String,
    tokens_match: bool,
    losses: Vec<f64>,
    timed: usize,
    token_ms: f64,
    token_ms_spread: f64,
}

/// Both evaluations in one report: `greedy_matches` where all match, `loss_error` the largest.
pub(super) fn run(paths: &Paths, shared: &Path) -> Outcome<Value> {
    let file = paths.root.join(REFERENCE);
    let reference: Reference = serde_json::from_slice(&fs::read(&file).at(&file)?)
        .map_err(|error| Failure::Data(error.to_string()))?;
    let mut rows = vec![super::natively(
        paths,
        Some(shared),
        &["stories260k".into()],
    )?];
    setup::run(paths)?;
    build::own_engines(paths)?;
    for found in in_chromium(paths, shared, &reference)? {
        rows.push(row(&found, &reference));
    }
    let matches = rows.iter().all(|row| row["greedy_matches"] == json!(true));
    let errors = rows.iter().map(|row| row["loss_error"].as_f64());
    let loss_error = errors.fold(0.0, |most, error| error.unwrap_or(f64::INFINITY).max(most));
    Ok(json!({
        "model": "stories260K",
        "greedy_matches": matches,
        "loss_error": loss_error,
        "tolerance": TOLERANCE,
        "engines": rows,
    }))
}

/// # Errors
/// `Check` where a text or a loss is not the reference's.
pub(super) fn check(result: &Value) -> Outcome<()> {
    if result["greedy_matches"] != json!(true) {
        return Err(Failure::Check("the greedy text is another one".to_owned()));
    }
    let tokens = result["engines"].as_array().into_iter().flatten();
    if !tokens
        .into_iter()
        .all(|row| row["tokens_match"] == json!(true))
    {
        return Err(Failure::Check(
            "the tokenizer gives other tokens".to_owned(),
        ));
    }
    match result["loss_error"].as_f64() {
        Some(error) if error <= TOLERANCE => Ok(()),
        _ => Err(Failure::Check(format!(
            "a loss is further than {TOLERANCE:.0e} from the reference"
        ))),
    }
}

fn in_chromium(paths: &Paths, shared: &Path, reference: &Reference) -> Outcome<Vec<Found>> {
    let step = Step::start("stories260K in Chromium");
    let texts = reference.texts.iter();
    let texts = texts.map(|text| json!({ "text": text.text, "tokens": text.tokens }));
    let plan = Plan {
        name: "eval-stories",
        folders: json!({
            "wasm": paths.out.join("wasm"),
            "models": shared.join("models/stories260K"),
        }),
        script: "stories.js",
        engines: &ENGINES,
        options: json!({ "texts": texts.collect::<Vec<_>>(), "timed": TIMED }),
    };
    let found = plan.run(paths, &step)?;
    step.done("");
    Ok(found)
}

fn row(found: &Found, reference: &Reference) -> Value {
    let expected = reference.texts.first().map_or("", |text| &text.text);
    let pairs = found.losses.iter().zip(&reference.texts);
    let error = pairs
        .map(|(loss, text)| (loss - text.mean_loss).abs() / text.mean_loss)
        .fold(0.0, f64::max);
    let all = found.losses.len() == reference.texts.len();
    json!({
        "engine": format!("{} in Chromium", found.engine),
        "adapter": found.adapter,
        "greedy_matches": found.text == expected,
        "greedy_text": found.text,
        "tokens_match": found.tokens_match,
        "losses": found.losses,
        "loss_error": if all { json!(error) } else { Value::Null },
        "tokens_timed": found.timed,
        "token_ms_median": found.token_ms,
        "token_ms_spread": found.token_ms_spread,
        "tokens_per_second": 1_000.0 / found.token_ms,
    })
}
