//! A task as an operator writes it: the JSON form of `TaskConfig`.

use crate::failure::{AtPath, Failure, Outcome};
use choir_shared::task::TaskConfig;
use choir_shared::wire::limits;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Reads and checks it.
///
/// # Errors
/// `Data` with the field that is wrong, missing or unknown, or the bound that a value breaks.
pub(super) fn read(file: &Path) -> Outcome<TaskConfig> {
    let text = fs::read_to_string(file).at(file)?;
    parse(&text).map_err(|error| Failure::Data(format!("{}: {error}", file.display())))
}

fn parse(text: &str) -> Result<TaskConfig, String> {
    let config: TaskConfig = serde_json::from_str(text).map_err(|error| with_line(text, &error))?;
    let given: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let known = serde_json::to_value(&config).map_err(|error| error.to_string())?;
    if let Some(field) = unknown(&given, &known, "") {
        return Err(format!("there is no field `{field}`"));
    }
    if let Some(broken) = bounds(&config) {
        return Err(broken);
    }
    config.check().map_err(|error| error.to_string())?;
    Ok(config)
}

/// The parser's words and the line that they are about, which names the field.
fn with_line(text: &str, error: &serde_json::Error) -> String {
    let line = text.lines().nth(error.line().saturating_sub(1));
    match line.map(str::trim) {
        Some(line) if !line.is_empty() => format!("{error}:\n  {line}"),
        _ => error.to_string(),
    }
}

/// The first field of `given` that the task does not have: a slip that would be passed over.
fn unknown(given: &Value, known: &Value, place: &str) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => given.iter().find_map(|(name, value)| {
            let place = format!("{place}{name}");
            match known.get(name) {
                None => Some(place),
                Some(known) => unknown(value, known, &format!("{place}.")),
            }
        }),
        _ => None,
    }
}

/// The first value that privacy rests on and that is out of its bounds, with the bounds.
fn bounds(config: &TaskConfig) -> Option<String> {
    let (cohort, quantiser) = (&config.cohort, &config.quantiser);
    let out = |name: &str, value: f64, least: f64, most: f64| {
        (!(least..=most).contains(&value))
            .then(|| format!("{name} is {value}, and must be from {least} to {most}"))
    };
    let size = f64::from(cohort.cohort_size);
    let (least, most) = (f64::from(limits::MIN_COHORT), f64::from(limits::MAX_COHORT));
    // The largest weight for which a whole cohort's sum stays below 2^32.
    let room = (f64::from(u32::MAX) / (size * f64::from(quantiser.levels)).max(1.0)).floor();
    out("cohort.cohort_size", size, least, most)
        .or_else(|| out("cohort.min_cohort", cohort.min_cohort.into(), least, size))
        .or_else(|| {
            out(
                "cohort.corrupt_permille",
                cohort.corrupt_permille.into(),
                0.0,
                999.0,
            )
        })
        .or_else(|| {
            out(
                "cohort.drop_permille",
                cohort.drop_permille.into(),
                0.0,
                1000.0,
            )
        })
        .or_else(|| {
            out(
                "quantiser.weight_max",
                quantiser.weight_max.into(),
                1.0,
                room,
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../edge-aggregator/examples/task.json");

    fn refused(from: &str, to: &str) -> String {
        assert!(EXAMPLE.contains(from), "the example has no {from}");
        parse(&EXAMPLE.replacen(from, to, 1))
            .err()
            .unwrap_or_default()
    }

    #[test]
    fn the_example_is_a_task() {
        let config = parse(EXAMPLE).unwrap_or_else(|error| panic!("{error}"));
        assert!(config.labels.len() >= 3);
    }

    #[test]
    fn a_field_that_is_wrong_missing_or_unknown_is_named() {
        let wrong = refused("\"batch_size\": 8", "\"batch_size\": \"eight\"");
        assert!(
            wrong.contains("line") && wrong.contains("batch_size"),
            "{wrong}"
        );
        let missing = refused("\"local_steps\": 12", "\"lokal_steps\": 12");
        assert!(missing.contains("`local_steps`"), "{missing}");
        let unknown = refused("\"max_length\": 48,", "\"max_length\": 48, \"speed\": 1,");
        assert!(unknown.contains("`speed`"), "{unknown}");
        let nested = refused("\"local_steps\": 12", "\"local_steps\": 12, \"epochs\": 3");
        assert!(nested.contains("`training.epochs`"), "{nested}");
        assert!(refused("{", "").contains("line "));
    }

    #[test]
    fn a_value_that_privacy_rests_on_is_named_with_its_bounds() {
        for (from, to, words) in [
            (
                "\"min_cohort\": 8",
                "\"min_cohort\": 2",
                "cohort.min_cohort is 2, and must be from 3 to",
            ),
            (
                "\"min_cohort\": 8",
                "\"min_cohort\": 48",
                "cohort.min_cohort is 48",
            ),
            (
                "\"cohort_size\": 10",
                "\"cohort_size\": 1001",
                "cohort.cohort_size is 1001, and must be from 3 to 1000",
            ),
            (
                "\"corrupt_permille\": 100",
                "\"corrupt_permille\": 1000",
                "cohort.corrupt_permille is 1000",
            ),
            (
                "\"weight_max\": 512",
                "\"weight_max\": 65536",
                "quantiser.weight_max is 65536",
            ),
        ] {
            let said = refused(from, to);
            assert!(said.contains(words), "{to}: {said}");
        }
    }

    #[test]
    fn what_the_protocol_itself_refuses_is_passed_on() {
        let said = refused("\"local_steps\": 12", "\"local_steps\": 0");
        assert!(said.contains("training"), "{said}");
        let said = refused("\"noise_multiplier\": 0.0", "\"noise_multiplier\": 1.5");
        assert!(said.contains("noise needs a clip norm"), "{said}");
    }
}
