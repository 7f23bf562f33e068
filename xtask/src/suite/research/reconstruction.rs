//! The reconstruction attack in small, on the sample data: it finds the words of a plain update, or
//! it proves nothing; of a sum with noise it finds no more than frequent words give.

use crate::attack;
use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::suite::counts::Counts;
use serde_json::{Value, json};

/// Least ROUGE-1 of a plain update.
const READ: f64 = 0.5;
/// Most that a noisy sum may give over frequent words.
const HIDDEN: f64 = 0.05;

/// Runs the scenario: one measurement, three checks of it.
pub(super) fn run(paths: &Paths, counts: &mut Counts) {
    let name = "an attack reads a plain update";
    let summary = match attack::measure(paths, &attack::sample(paths), &sizes()) {
        Ok(summary) => summary,
        Err(failure) => {
            counts.check::<()>(name, Err(failure));
            return;
        }
    };
    counts.check(name, a_plain_update_gives_its_text_away(&summary));
    counts.check(
        "the attack reads no more in a sum of fifty with noise than frequent words say",
        a_noisy_sum_of_fifty_gives_frequent_words(&summary),
    );
    counts.check(
        "the same measure notices a sum of one without noise",
        a_sum_of_one_is_noticed(&summary),
    );
}

fn sizes() -> Value {
    json!({
        "targets": 24,
        "others": 26,
        "shadows": 50,
        "library": 300,
        "clients": [1, 50],
        "noise_multiplier": 1.0,
        "lora": false,
        "matching": 0,
        "matching_steps": 0,
    })
}

fn a_plain_update_gives_its_text_away(summary: &Value) -> Outcome<()> {
    let found = attack::number(summary, "/plain_rouge1")?;
    require(found >= READ, || {
        format!("ROUGE-1 of a plain update is {found:.3}: the attack proves nothing")
    })
}

fn a_noisy_sum_of_fifty_gives_frequent_words(summary: &Value) -> Outcome<()> {
    let over = attack::number(summary, "/sum50_noise_minus_floor")?;
    require(over <= HIDDEN, || {
        format!("a sum of fifty with noise gives {over:.3} over frequent words")
    })
}

fn a_sum_of_one_is_noticed(summary: &Value) -> Outcome<()> {
    let over = attack::number(summary, "/plain_minus_floor")?;
    require(over > HIDDEN, || {
        format!("a plain update gives only {over:.3} over frequent words: the measure is blind")
    })
}

fn require(holds: bool, why: impl FnOnce() -> String) -> Outcome<()> {
    if holds {
        Ok(())
    } else {
        Err(Failure::Check(why()))
    }
}
