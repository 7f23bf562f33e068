//! What an attack found, as it stands in JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Sizes;
use crate::metrics;

/// A mean and how far single texts are from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Mean over the texts.
    pub mean: f64,
    /// Standard deviation over the texts.
    pub sd: f64,
}

/// How alike guesses and texts are; see [`crate::metrics`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scores {
    /// Words in common.
    pub rouge1: Spread,
    /// Pairs of words in common.
    pub rouge2: Spread,
    /// Words in common in the same order.
    pub rouge_l: Spread,
    /// Share of texts with every word right.
    pub exact: f64,
    /// Texts.
    pub texts: usize,
}

impl Scores {
    /// Scores guesses against the texts.
    pub fn of(pairs: &[(Vec<String>, &[String])]) -> Self {
        let spread = |score: &dyn Fn(&[String], &[String]) -> f64| {
            Spread::of(pairs.iter().map(|(guess, text)| score(guess, text)))
        };
        Self {
            rouge1: spread(&|guess, text| metrics::rouge_n(guess, text, 1)),
            rouge2: spread(&|guess, text| metrics::rouge_n(guess, text, 2)),
            rouge_l: spread(&metrics::rouge_l),
            exact: spread(&|guess, text| f64::from(metrics::exact_match(guess, text))).mean,
            texts: pairs.len(),
        }
    }
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        Self {
            mean,
            sd: variance.sqrt(),
        }
    }
}

/// One kind of observation: every attack on it, and the best of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cell {
    /// Clients in the sum.
    pub clients: usize,
    /// Standard deviation of the noise in each coordinate; 0 without noise.
    pub noise_sd: f64,
    /// ROUGE-1 of the best attack: the largest of the means below, chosen with the texts known.
    pub rouge1: Spread,
    /// Its name.
    pub best: String,
    /// Each attack.
    pub attacks: BTreeMap<String, Scores>,
}

impl Cell {
    /// A cell of these attacks.
    pub fn of(clients: usize, noise_sd: f64, attacks: BTreeMap<String, Scores>) -> Self {
        let best = attacks
            .iter()
            .max_by(|a, b| a.1.rouge1.mean.total_cmp(&b.1.rouge1.mean));
        Self {
            clients,
            noise_sd,
            rouge1: best.map(|(_, scores)| scores.rouge1).unwrap_or_default(),
            best: best.map(|(name, _)| name.clone()).unwrap_or_default(),
            attacks,
        }
    }
}

/// A sum of so many clients, as it is and with noise.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sum {
    /// Without noise.
    pub plain: Cell,
    /// With it.
    pub noise: Cell,
}

/// What was attacked: every weight's gradient, or Choir's payload.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct View {
    /// Coordinates of one update.
    pub coordinates: usize,
    /// Median L2 norm of an update, which is the clip norm of the noisy sums.
    pub clip: f64,
    /// By number of clients, 1 included.
    pub sums: BTreeMap<usize, Sum>,
}

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Of every weight of the encoder and the head.
    pub full: View,
    /// Of LoRA and the head, one gradient; absent where the sizes leave it out.
    pub lora: Option<View>,
    /// Of LoRA and the head after so many local steps of AdamW on one text.
    pub lora_steps: BTreeMap<u16, Cell>,
    /// Gradient matching on the first texts.
    pub matching: Option<Scores>,
    /// Words of the rows of the word embeddings that have a gradient.
    pub embedding_rows: Scores,
    /// The guess of frequent words.
    pub floor: Scores,
    /// Standard deviation of the noise over the clip norm.
    pub noise_multiplier: f64,
    /// Share of the attacked texts' tokens that the attacker's own texts have.
    pub covered: f64,
    /// How many of what.
    pub sizes: Sizes,
    /// The seed of all choices.
    pub seed: u64,
    /// Wall time.
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_reports_its_best_attack() {
        let text = metrics::words("where is my card");
        let scores = |guess: &str| Scores::of(&[(metrics::words(guess), &text)]);
        let attacks = BTreeMap::from([
            ("good".to_owned(), scores("where is my card")),
            ("bad".to_owned(), scores("a loan")),
        ]);
        let cell = Cell::of(1, 0.0, attacks);
        assert_eq!(cell.best, "good");
        assert!((cell.rouge1.mean - 1.0).abs() < 1e-12);
        assert!((cell.attacks["good"].exact - 1.0).abs() < 1e-12);
        assert!(cell.attacks["bad"].rouge1.mean.abs() < 1e-12);
    }
}
