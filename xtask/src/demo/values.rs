//! Values on the demo's command line.

use super::options::{Decoder, Head, Kind, Mode};
use crate::data::LabelChoice;
use crate::helper::Helper;
use choir_shared::task::Target;

/// Which task is meant.
pub(super) fn kind(text: &str) -> Result<Kind, &'static str> {
    match text {
        "intents" => Ok(Kind::Intents),
        "writing" => Ok(Kind::Writing),
        _ => Err("`intents` or `writing`"),
    }
}

/// Which decoder is meant.
pub(super) fn decoder(text: &str) -> Result<Decoder, &'static str> {
    match text {
        "choir-4m" => Ok(Decoder::BuiltIn),
        "stories260K" => Ok(Decoder::Stories),
        _ => Err("`choir-4m` or `stories260K`"),
    }
}

/// Who adds up; a helper has fresh keys.
pub(super) fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "one-aggregator" => Ok(Mode::OneAggregator),
        "two-aggregators" => Helper::fresh()
            .map(Mode::TwoAggregators)
            .map_err(|failure| failure.to_string()),
        _ => Err("`one-aggregator` or `two-aggregators`".to_owned()),
    }
}

/// Which labels take part.
pub(super) fn label_choice(text: &str) -> Result<LabelChoice, String> {
    match text.parse() {
        _ if text == "all" => Ok(LabelChoice::All),
        Ok(count) if count >= 2 => Ok(LabelChoice::Some(count)),
        _ => Err("`all` or a number from 2 up".to_owned()),
    }
}

/// What the head starts from.
pub(super) fn head_start(text: &str) -> Result<Head, String> {
    match text {
        "zero" => Ok(Head::Zero),
        "centroids" => Ok(Head::Centroids),
        _ => Err("`zero` or `centroids`".to_owned()),
    }
}

/// Linear layers between commas, in the payload's order.
pub(super) fn targets(text: &str) -> Result<Vec<Target>, String> {
    const NAMES: [&str; 6] = ["q", "k", "v", "o", "w1", "w2"];
    let mut chosen = Vec::new();
    for name in text.split(',').filter(|name| !name.is_empty()) {
        let place = NAMES.iter().position(|known| *known == name);
        chosen.push(Target::ALL[place.ok_or_else(|| format!("no such layer: {name}"))?]);
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}
