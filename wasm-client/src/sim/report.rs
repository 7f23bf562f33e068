//! What an experiment came to: a table for people, JSON for programs.

use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::baseline::{Baseline, Kind};
use super::config::Config;
use super::data::{DataSet, split_name};
use super::error::SimError;
use super::personal::Mixture;
use super::plot;
use super::record::{Final, Record};
use super::state::{State, replace};
use super::work::Results;

/// Mean and standard deviation over the seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The sample's standard deviation; 0 for a single seed.
    pub sd: f64,
}

impl Spread {
    /// Of these values.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count.max(1.0);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self {
            mean,
            sd: (squares / (count - 1.0).max(1.0)).sqrt(),
        }
    }
}

/// One strategy over all seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub strategy: String,
    /// Accuracy of the last version on all test texts; none before the last round.
    pub accuracy: Option<Spread>,
    /// Its cross-entropy.
    pub loss: Option<Spread>,
    /// Accuracy minus that of the class centroids.
    pub over_centroids: Option<f64>,
    /// What clients gain by going on alone, mean over the seeds; empty if it was not asked for.
    pub personal: Vec<Mixture>,
    /// Accuracy on the watched texts, version 0 first.
    pub by_round: Vec<Spread>,
    /// Bytes that a client sent in a round, in the mean.
    pub bytes_up: u64,
    /// Bytes of the adapter that it fetched.
    pub bytes_down: u64,
    /// Clients that joined, in all rounds and seeds.
    pub joined: usize,
    /// Those whose update did not arrive.
    pub dropped: usize,
    /// Rounds without a result.
    pub aborted: usize,
    /// Secure sums that were, word for word, the plain ones.
    pub secure_sums: usize,
    /// Largest distance of a secure mean's coordinate from the unrounded one.
    pub rounding_error: f32,
    /// Coordinates that were cut to the bound.
    pub clipped: usize,
}

/// The whole experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The experiment's name.
    pub name: String,
    /// How it was done, in a line.
    pub setting: String,
    /// Labels, training texts, test texts.
    pub labels: usize,
    /// Training texts.
    pub train_texts: usize,
    /// Test texts of the final numbers.
    pub test_texts: usize,
    /// Test texts after each round.
    pub watched_texts: usize,
    /// The baseline without any training.
    pub centroid_accuracy: f64,
    /// Clients alone, each seed's mean.
    pub local_accuracy: Option<Spread>,
    /// Everybody's texts in one place.
    pub central_accuracy: Option<Spread>,
    /// The strategies in the file's order.
    pub rows: Vec<Row>,
    /// Every round, in order.
    pub records: Vec<Record>,
    /// The experiment.
    pub config: Config,
    /// Seconds since this start.
    pub seconds: f32,
}

impl Summary {
    pub(super) fn new(
        config: &Config,
        data: &DataSet,
        centroid_accuracy: f32,
        mut results: Results,
        seconds: f32,
    ) -> Self {
        results.runs.sort_by_key(|&(index, seed, _)| (index, seed));
        let centroid_accuracy = f64::from(centroid_accuracy);
        let row = |index: usize| {
            let runs = results.runs.iter().filter(|(of, _, _)| *of == index);
            let states: Vec<&State> = runs.map(|(_, _, state)| state).collect();
            row(&config.strategies[index].name, &states, centroid_accuracy)
        };
        let clients = &config.clients;
        let setting = format!(
            "{} clients, {}, {} a round, {} rounds of {} steps of {}, drop-out {:.0} %, {} sum, seeds {:?}",
            clients.count,
            split_name(clients.partition),
            clients.per_round,
            config.rounds,
            config.training.steps,
            config.training.batch,
            100.0 * clients.drop_out,
            if config.sum.secure { "secure" } else { "plain" },
            config.seeds,
        );
        Self {
            name: config.name.clone(),
            setting,
            labels: data.labels.len(),
            train_texts: data.train.len(),
            test_texts: data.test.len(),
            watched_texts: data.watched.len(),
            centroid_accuracy,
            local_accuracy: of_baseline(&results.baselines, Kind::Local),
            central_accuracy: of_baseline(&results.baselines, Kind::Central),
            rows: (0..config.strategies.len()).map(row).collect(),
            records: results
                .runs
                .into_iter()
                .flat_map(|(_, _, state)| state.records)
                .collect(),
            config: config.clone(),
            seconds,
        }
    }

    /// Writes `rounds.jsonl`, `summary.json`, `table.txt` and `plot.svg`.
    pub(super) fn write(&self, folder: &Path) -> Result<(), SimError> {
        let mut lines = String::new();
        for record in &self.records {
            lines.push_str(&json(folder, serde_json::to_string(record))?);
            lines.push('\n');
        }
        replace(&folder.join("rounds.jsonl"), lines.as_bytes())?;
        let summary = json(folder, serde_json::to_string_pretty(self))?;
        replace(&folder.join("summary.json"), summary.as_bytes())?;
        replace(&folder.join("table.txt"), self.table().as_bytes())?;
        replace(&folder.join("plot.svg"), plot::draw(self).as_bytes())
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{}\n{}\n{} labels, {} texts to train on, {} to test; mean ± standard deviation\n\n",
            self.name, self.setting, self.labels, self.train_texts, self.test_texts
        );
        let wide = self.rows.iter().map(|row| row.strategy.chars().count());
        let wide = wide.max().unwrap_or(0).max("strategy".len());
        let dash = || "-".to_owned();
        let percent = |spread: Option<Spread>| spread.map_or_else(dash, shown);
        let central = percent(self.central_accuracy);
        let local = percent(self.local_accuracy);
        let centroids = format!("{:.1} %", 100.0 * self.centroid_accuracy);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:wide$}  {:>12}  {:>9}  {:>9}  {:>12}  {:>12}  {:>9}  {:>9}  {:>7}",
            "strategy",
            "accuracy",
            "vs. cent.",
            "centroids",
            "local-only",
            "central",
            "kB up",
            "kB down",
            "dropped"
        );
        for row in &self.rows {
            let over = row.over_centroids;
            let over = over.map_or_else(dash, |over| format!("{:+.1}", 100.0 * over));
            let _ = writeln!(
                text,
                "{:wide$}  {:>12}  {over:>9}  {centroids:>9}  {local:>12}  {central:>12}  {:>9.1}  {:>9.1}  {:>7}",
                row.strategy,
                percent(row.accuracy),
                row.bytes_up as f64 / 1000.0,
                row.bytes_down as f64 / 1000.0,
                format!("{}/{}", row.dropped, row.joined),
            );
        }
        self.personal_lines(&mut text);
        let sums: usize = self.rows.iter().map(|row| row.secure_sums).sum();
        let aborted: usize = self.rows.iter().map(|row| row.aborted).sum();
        let error = self
            .rows
            .iter()
            .map(|row| row.rounding_error)
            .fold(0.0, f32::max);
        if self.config.sum.secure {
            let _ = writeln!(
                text,
                "\n{sums} secure sums were the plain sums word for word, {aborted} rounds had no \
                 result; largest rounding error of a mean {error:.1e}"
            );
        }
        text
    }

    /// Accuracy between the global adapter and clients' own.
    fn personal_lines(&self, text: &mut String) {
        let rows = self.rows.iter().filter(|row| !row.personal.is_empty());
        for (place, row) in rows.enumerate() {
            if place == 0 {
                text.push_str(
                    "\nbetween the last version (0) and clients' own (1): own texts, all texts\n",
                );
            }
            let points = row.personal.iter().map(|mixture| {
                let Mixture {
                    own_part,
                    own_accuracy,
                    all_accuracy,
                } = mixture;
                let [own, all] = [100.0 * own_accuracy, 100.0 * all_accuracy];
                format!("{own_part}: {own:.1} %, {all:.1} %")
            });
            let points: Vec<String> = points.collect();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}  {}", row.strategy, points.join("   "));
        }
    }
}

fn row(name: &str, states: &[&State], centroid_accuracy: f64) -> Row {
    let last: Vec<_> = states
        .iter()
        .filter_map(|state| state.last.as_ref())
        .collect();
    let is_over = last.len() == states.len() && !last.is_empty();
    let spread = |values: Vec<f64>| is_over.then(|| Spread::of(&values));
    let accuracy = spread(
        last.iter()
            .map(|(_, last)| f64::from(last.accuracy))
            .collect(),
    );
    let records = || states.iter().flat_map(|state| &state.records);
    let trained = || records().filter(|record| record.round > 0);
    let count = trained().count().max(1) as u64;
    let rounds = states
        .iter()
        .map(|state| state.records.len())
        .min()
        .unwrap_or(0);
    let at_round = |round: usize| {
        let values = states
            .iter()
            .map(|state| f64::from(state.records[round].accuracy));
        Spread::of(&values.collect::<Vec<_>>())
    };
    Row {
        strategy: name.to_owned(),
        accuracy,
        loss: spread(last.iter().map(|(_, last)| f64::from(last.loss)).collect()),
        over_centroids: accuracy.map(|accuracy| accuracy.mean - centroid_accuracy),
        personal: mixtures(&last),
        by_round: (0..rounds).map(at_round).collect(),
        bytes_up: trained().map(|record| record.bytes_up).sum::<u64>() / count,
        bytes_down: trained().map(|record| record.bytes_down).sum::<u64>() / count,
        joined: trained().map(|record| record.clients).sum(),
        dropped: trained().map(|record| record.dropped).sum(),
        aborted: trained().filter(|record| record.aborted).count(),
        secure_sums: trained()
            .filter(|record| record.secure_sum_is_plain == Some(true))
            .count(),
        rounding_error: trained()
            .filter_map(|r| r.rounding_error)
            .fold(0.0, f32::max),
        clipped: trained().map(|record| record.clipped).sum(),
    }
}

fn mixtures(last: &[&(u32, Final)]) -> Vec<Mixture> {
    let Some((_, first)) = last.first() else {
        return Vec::new();
    };
    let part = 1.0 / last.len() as f32;
    let mean = |at: usize, of: fn(&Mixture) -> f32| -> f32 {
        let values = last.iter().filter_map(|(_, last)| last.personal.get(at));
        values.map(|mixture| part * of(mixture)).sum()
    };
    let of_point = |(at, mixture): (usize, &Mixture)| Mixture {
        own_part: mixture.own_part,
        own_accuracy: mean(at, |mixture| mixture.own_accuracy),
        all_accuracy: mean(at, |mixture| mixture.all_accuracy),
    };
    first.personal.iter().enumerate().map(of_point).collect()
}

fn of_baseline(baselines: &[Baseline], kind: Kind) -> Option<Spread> {
    let of_seed = |baseline: &Baseline| {
        let scores = baseline
            .scores
            .iter()
            .map(|score| f64::from(score.accuracy));
        scores.sum::<f64>() / baseline.scores.len().max(1) as f64
    };
    let seeds = baselines.iter().filter(|baseline| baseline.kind == kind);
    let values: Vec<f64> = seeds.map(of_seed).collect();
    (!values.is_empty()).then(|| Spread::of(&values))
}

fn shown(spread: Spread) -> String {
    format!("{:.1} ± {:.1} %", 100.0 * spread.mean, 100.0 * spread.sd)
}

fn json(folder: &Path, text: serde_json::Result<String>) -> Result<String, SimError> {
    text.map_err(|error| SimError::data(folder, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_spread_is_that_of_a_sample() {
        let spread = Spread::of(&[2.0, 4.0, 9.0]);
        assert!((spread.mean - 5.0).abs() < 1e-12);
        assert!((spread.sd - 13.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(Spread::of(&[3.0]), Spread { mean: 3.0, sd: 0.0 });
    }
}
