//! `cargo xtask attack reconstruction`: what one update gives away of a text, and what a sum does.
//!
//! The measurement is a native program, `choir-attack`; here are its data, its sizes, and what
//! becomes of its report: a table, JSON and a picture.

mod svg;

use crate::build::{Profile, Tool};
use crate::data::{DataSet, LabelChoice};
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::{Files, data, program, setup};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seed of every choice.
const SEED: u64 = 1;
const TOOL: Tool = Tool {
    title: "native attacks",
    feature: "attack",
    name: "choir-attack",
    profile: Profile::Shared,
};

/// Runs the attack that the words name.
///
/// # Errors
/// `Usage`, `Data` where there is too little, and those of the program.
pub(crate) fn run(paths: &Paths, files: &Files) -> Outcome<()> {
    if files.words() != ["reconstruction"] {
        return Err(Failure::Usage(
            "the attack there is: `attack reconstruction`".to_owned(),
        ));
    }
    let source = match files.get("data") {
        Some(path) => path,
        None => usual_data(paths),
    };
    let summary = measure(paths, &source, &whole())?;
    table(&summary)?;
    let text = format!("{summary:#}\n");
    match files.get("json") {
        Some(file) => fs::write(&file, text).at(&file)?,
        None => println!("{text}"),
    }
    if let Some(file) = files.get("svg") {
        fs::write(&file, svg::draw(&summary)?).at(&file)?;
    }
    Ok(())
}

/// Banking77 where the shared data are, the sample that comes with the page elsewhere.
fn usual_data(paths: &Paths) -> PathBuf {
    std::env::var_os("CHOIR_SHARED")
        .map(|shared| PathBuf::from(shared).join("data/banking77"))
        .filter(|folder| folder.join("train.csv").is_file())
        .unwrap_or_else(|| sample(paths))
}

/// The sample data.
pub(crate) fn sample(paths: &Paths) -> PathBuf {
    paths.root.join("web/demo/sample/intents.csv")
}

/// The sizes of the command.
fn whole() -> Value {
    json!({
        "targets": 20,
        "others": 60,
        "shadows": 60,
        "library": 2000,
        "clients": [1, 2, 10, 50],
        "noise_multiplier": 1.0,
        "lora": true,
        "matching": 2,
        "matching_steps": 250,
    })
}

/// Builds and runs the program, and sums its report up.
///
/// # Errors
/// `Data` or `Program` with what it says.
pub(crate) fn measure(paths: &Paths, source: &Path, sizes: &Value) -> Outcome<Value> {
    setup::ensure_model(paths)?;
    let folder = paths.out.join("attack");
    fs::create_dir_all(&folder).at(&folder)?;
    let texts = DataSet::read(source, LabelChoice::All, SEED)?;
    let (public, private) = (folder.join("public.csv"), folder.join("private.csv"));
    data::write(&public, &texts.train)?;
    data::write(&private, &texts.test)?;
    let job = folder.join("job.json");
    let content = json!({
        "model_dir": paths.model(),
        "public": public,
        "private": private,
        "labels": texts.labels,
        "seed": SEED,
        "sizes": sizes,
    });
    fs::write(&job, content.to_string()).at(&job)?;
    let mut attack = Command::new(TOOL.build(paths)?);
    let step = Step::start("reconstruction attack");
    let printed = program::run(&step, attack.arg(&job))?;
    let report: Value = serde_json::from_str(printed.lines().last().unwrap_or_default())
        .map_err(|error| Failure::Data(format!("the report of the attack: {error}")))?;
    step.done("");
    let mut summary = summary(&report)?;
    summary["data"] = json!(source.file_name().map(|name| name.to_string_lossy()));
    summary["report"] = report;
    Ok(summary)
}

/// The numbers that matter, by name.
fn summary(report: &Value) -> Outcome<Value> {
    let floor = number(report, "/floor/rouge1/mean")?;
    let mut summary = json!({
        "frequent_words_floor": floor,
        "frequent_words_floor_sd": number(report, "/floor/rouge1/sd")?,
        "embedding_rows_rouge1": number(report, "/embedding_rows/rouge1/mean")?,
        "covered": number(report, "/covered")?,
        "noise_multiplier": number(report, "/noise_multiplier")?,
        "seed": number(report, "/seed")?,
        "seconds": number(report, "/seconds")?,
        "sizes": report["sizes"],
    });
    for (view, prefix) in [("full", ""), ("lora", "lora_")] {
        let Some(sums) = report[view]["sums"].as_object() else {
            continue;
        };
        summary[format!("{prefix}clip")] = report[view]["clip"].clone();
        summary[format!("{prefix}coordinates")] = report[view]["coordinates"].clone();
        for clients in sums.keys() {
            let name = match clients.as_str() {
                "1" => format!("{prefix}plain"),
                more => format!("{prefix}sum{more}"),
            };
            let cell = sum(&sums[clients])?;
            let best = |kind: &str| number(&cell, &format!("/{kind}"));
            summary[format!("{name}_minus_floor")] = json!(best("plain")? - floor);
            summary[format!("{name}_noise_minus_floor")] = json!(best("noise")? - floor);
            if clients == "1" {
                summary[format!("{name}_rouge1")] = json!(best("plain")?);
                summary[format!("{name}_noise_rouge1")] = json!(best("noise")?);
            }
            summary[name] = cell;
        }
    }
    if let Some(steps) = report["lora_steps"].as_object() {
        for (steps, cell) in steps {
            let best = number(cell, "/rouge1/mean")?;
            summary[format!("lora_{steps}_steps_rouge1")] = json!(best);
        }
    }
    if !report["matching"].is_null() {
        let matching = number(report, "/matching/rouge1/mean")?;
        summary["gradient_matching_rouge1"] = json!(matching);
    }
    Ok(summary)
}

/// ROUGE-1 of the best attack on a sum, without noise and with it.
fn sum(value: &Value) -> Outcome<Value> {
    Ok(json!({
        "plain": number(value, "/plain/rouge1/mean")?,
        "plain_sd": number(value, "/plain/rouge1/sd")?,
        "plain_best": value["plain"]["best"],
        "noise": number(value, "/noise/rouge1/mean")?,
        "noise_sd": number(value, "/noise/rouge1/sd")?,
        "noise_best": value["noise"]["best"],
    }))
}

/// A number of a report.
///
/// # Errors
/// `Data` where it is not there.
pub(crate) fn number(report: &Value, pointer: &str) -> Outcome<f64> {
    report
        .pointer(pointer)
        .and_then(Value::as_f64)
        .ok_or_else(|| Failure::Data(format!("the report of the attack has no number {pointer}")))
}

/// Prints what each observation gave away.
fn table(summary: &Value) -> Outcome<()> {
    let floor = number(summary, "/frequent_words_floor")?;
    println!("ROUGE-1 of the best attack; {floor:.3} is what frequent words alone give");
    println!("{:<28}{:>9}{:>12}", "", "plain", "with noise");
    for (prefix, title) in [("", "every weight"), ("lora_", "LoRA and head")] {
        for (name, clients) in BARS {
            let Some(cell) = summary.get(format!("{prefix}{name}")) else {
                continue;
            };
            let (plain, noise) = (number(cell, "/plain")?, number(cell, "/noise")?);
            println!("{title:<16}{clients:<12}{plain:>9.3}{noise:>12.3}");
        }
    }
    for (name, title) in SINGLES {
        if let Some(value) = summary[name].as_f64() {
            println!("{title:<28}{value:>9.3}");
        }
    }
    Ok(())
}

/// Names in the summary, and what they are called.
const BARS: [(&str, &str); 4] = [
    ("plain", "1 client"),
    ("sum2", "sum of 2"),
    ("sum10", "sum of 10"),
    ("sum50", "sum of 50"),
];
const SINGLES: [(&str, &str); 4] = [
    ("gradient_matching_rouge1", "gradient matching"),
    ("embedding_rows_rouge1", "rows of word embeddings"),
    ("lora_1_steps_rouge1", "LoRA, 1 step of AdamW"),
    ("lora_10_steps_rouge1", "LoRA, 10 steps of AdamW"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(plain: f64, noise: f64) -> Value {
        let one = |mean: f64| json!({ "rouge1": { "mean": mean, "sd": 0.1 }, "best": "span" });
        json!({ "plain": one(plain), "noise": one(noise) })
    }

    #[test]
    fn the_summary_holds_the_difference_to_the_floor() {
        let score = |mean: f64| json!({ "rouge1": { "mean": mean, "sd": 0.1 } });
        let report = json!({
            "full": { "sums": { "1": cell(1.0, 0.3), "50": cell(0.4, 0.27) }, "clip": 2.0 },
            "lora": null, "lora_steps": {}, "matching": null,
            "embedding_rows": score(0.9), "floor": score(0.25), "covered": 1.0,
            "noise_multiplier": 1.0, "seed": 1, "seconds": 2.0, "sizes": {},
        });
        let summary = summary(&report).unwrap();
        assert_eq!(summary["plain_rouge1"], json!(1.0));
        let difference = number(&summary, "/sum50_noise_minus_floor").unwrap();
        assert!((difference - 0.02).abs() < 1e-12);
        assert!(svg::draw(&summary).unwrap().contains("frequent words"));
    }

    #[test]
    fn a_report_without_a_number_is_refused() {
        assert!(number(&json!({ "floor": {} }), "/floor/rouge1/mean").is_err());
    }
}
