//! One kind of observation under every attack on it.

use std::collections::BTreeMap;

use choir_shared::sim::random::Stream;

use super::AttackError;
use super::assembly;
use super::guess::{self, Evidence};
use super::network::Network;
use super::observation::{Contribution, Noise, Observation};
use super::report::{Cell, Scores};
use super::retrieval::Library;
use super::span::Span;
use super::texts::{Decoder, Prior, Text};
use super::weights::BaseWeights;

/// Clients whose tokens together are still fewer than the encoder's dimensions.
const FEW: usize = 10;
/// Members of a simulated cohort whose tokens are looked for.
const LEARNERS: usize = 8;

/// What all attacks share.
pub(super) struct Ground<'a> {
    /// The base model's values.
    pub(super) base: &'a BaseWeights,
    /// Products of matrices.
    pub(super) network: Network,
    /// What the attacker knows beforehand.
    pub(super) prior: &'a Prior,
    /// From tokens to words.
    pub(super) decoder: &'a Decoder,
    /// First and last token of every text.
    pub(super) ends: [u32; 2],
    /// Texts of the clients; the first ones are attacked.
    pub(super) texts: &'a [Text],
    /// How many are attacked.
    pub(super) targets: usize,
    /// The attacker's own texts for simulated clients.
    pub(super) shadow_texts: &'a [Text],
    /// Seed of cohorts and noise.
    pub(super) seed: u64,
}

/// Updates of one kind.
pub(super) struct Updates<'a> {
    /// Its name, for progress.
    pub(super) name: String,
    /// Of the clients, in the order of their texts.
    pub(super) clients: Vec<Contribution>,
    /// Of the attacker's simulated clients.
    pub(super) shadows: Vec<Contribution>,
    /// Public texts, embedded by the model that these updates are made on.
    pub(super) library: &'a Library<'a>,
    /// Smallest ridge of the span.
    pub(super) ridge: f64,
    /// Whether one plain update is also tried against the whole vocabulary.
    pub(super) whole_vocabulary: bool,
}

impl Updates<'_> {
    /// Median length of the clients' updates.
    pub(super) fn median_norm(&self) -> f64 {
        let mut norms: Vec<f64> = self.clients.iter().map(|client| client.norm).collect();
        norms.sort_by(f64::total_cmp);
        norms.get(norms.len() / 2).copied().unwrap_or_default()
    }
}

impl Ground<'_> {
    /// Attacks sums of `clients` updates.
    pub(super) fn attack(
        &mut self,
        updates: &Updates<'_>,
        clients: usize,
        noise: Option<Noise>,
    ) -> Result<Cell, AttackError> {
        let kind = if noise.is_some() { "noise" } else { "plain" };
        let title = format!("{}, sum of {clients}, {kind}", updates.name);
        let evidence = self.learn(updates, clients, noise, &title)?;
        let mut guesses: BTreeMap<&str, Vec<Vec<String>>> = BTreeMap::new();
        // The same cohorts with noise and without, and for every kind of update.
        let mut cohorts = Stream::new(self.seed, &format!("cohorts of {clients}"));
        let mut stream = Stream::new(self.seed, &title);
        for target in 0..self.targets {
            eprintln!("{title}: text {} of {}", target + 1, self.targets);
            let cohort = cohort(target, clients, updates.clients.len(), &mut cohorts);
            let members: Vec<&Contribution> = cohort
                .iter()
                .map(|&member| &updates.clients[member])
                .collect();
            let observation = Observation::sum(&members, noise, &mut stream);
            let length = self.texts[target].tokens.len();
            let span = Span::of(&observation, &mut self.network, updates.ridge)?;
            let distances = self.distances(&span, &self.prior.tokens, length)?;
            let tokens = guess::text(&distances, self.prior, &evidence);
            let mut add = |attack, words| guesses.entry(attack).or_default().push(words);
            add("span_with_prior", self.decoder.words(&tokens));
            add("frequent_words", self.prior.frequent_words(length));
            add("retrieval", updates.library.nearest(&observation, length));
            let shown = noise.is_none() && (2..=FEW).contains(&clients);
            if shown && !observation.second_inputs.is_empty() {
                let found = assembly::search(
                    self,
                    &observation,
                    clients,
                    &distances,
                    &tokens,
                    &mut stream,
                )?;
                let words = self.decoder.words(&found);
                guesses.entry("assembly").or_default().push(words);
            }
            if clients == 1 && noise.is_none() && updates.whole_vocabulary {
                let tokens = self.nearest_of_all(&span, length)?;
                let words = self.decoder.words(&tokens);
                guesses.entry("span").or_default().push(words);
            }
        }
        let attacks = guesses
            .into_iter()
            .map(|(attack, guesses)| (attack.to_owned(), self.scores(guesses)))
            .collect();
        let deviation = noise.map_or(0.0, |noise| noise.clip * noise.multiplier);
        let cell = Cell::of(clients, deviation, attacks);
        eprintln!("{title}: ROUGE-1 {:.3} by {}", cell.rouge1.mean, cell.best);
        Ok(cell)
    }

    /// Scores one guess for each of the first texts.
    pub(super) fn scores(&self, guesses: Vec<Vec<String>>) -> Scores {
        let texts = self.texts.iter().map(|text| text.words.as_slice());
        Scores::of(&guesses.into_iter().zip(texts).collect::<Vec<_>>())
    }

    /// How near the true tokens of simulated clients are, in sums of the same kind.
    fn learn(
        &mut self,
        updates: &Updates<'_>,
        clients: usize,
        noise: Option<Noise>,
        title: &str,
    ) -> Result<Evidence, AttackError> {
        let mut stream = Stream::new(self.seed, "shadows");
        let rounds = match clients {
            1 => 16,
            2..=10 => 6,
            _ => 4,
        };
        let (texts, prior) = (self.shadow_texts, self.prior);
        let mut ranks = Vec::new();
        for round in 0..rounds {
            eprintln!("{title}: simulated cohort {} of {rounds}", round + 1);
            let members = stream.choose(clients, updates.shadows.len());
            let cohort: Vec<&Contribution> = members
                .iter()
                .map(|&member| &updates.shadows[member])
                .collect();
            let observation = Observation::sum(&cohort, noise, &mut stream);
            let span = Span::of(&observation, &mut self.network, updates.ridge)?;
            let learners: Vec<&[u32]> = members
                .iter()
                .take(LEARNERS)
                .map(|&member| inner(&texts[member].tokens))
                .collect();
            let longest = learners.iter().map(|tokens| tokens.len()).max();
            let distances =
                self.distances(&span, &prior.tokens, longest.unwrap_or_default() + 2)?;
            for (place, distances) in distances.iter().enumerate() {
                let by_token = guess::ranks(distances);
                let tokens = learners.iter().filter_map(|tokens| tokens.get(place));
                let found = tokens.filter_map(|token| prior.tokens.binary_search(token).ok());
                ranks.extend(found.map(|index| by_token[index]));
            }
        }
        Ok(Evidence::fit(&ranks, self.prior.tokens.len()))
    }

    /// Distances of the candidates at each place between the special tokens.
    fn distances(
        &mut self,
        span: &Span,
        candidates: &[u32],
        length: usize,
    ) -> Result<Vec<Vec<f64>>, AttackError> {
        (1..length - 1)
            .map(|position| span.distances(&mut self.network, self.base, candidates, position))
            .collect()
    }

    /// The nearest token of the whole vocabulary at each place: no prior knowledge at all.
    fn nearest_of_all(&mut self, span: &Span, length: usize) -> Result<Vec<u32>, AttackError> {
        let all: Vec<u32> = (0..self.base.shape().vocabulary).collect();
        (1..length - 1)
            .map(|position| span.nearest(&mut self.network, self.base, &all, position))
            .collect()
    }
}

/// The tokens between the special ones.
fn inner(tokens: &[u32]) -> &[u32] {
    tokens.get(1..tokens.len() - 1).unwrap_or_default()
}

/// The target and others, `size` in all.
fn cohort(target: usize, size: usize, clients: usize, stream: &mut Stream) -> Vec<usize> {
    let others = stream.choose(size - 1, clients - 1);
    let others = others
        .into_iter()
        .map(|other| other + usize::from(other >= target));
    core::iter::once(target).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cohort_holds_its_target_once_and_nobody_twice() {
        let mut stream = Stream::new(1, "cohort");
        for size in [1, 2, 10] {
            let mut cohort = cohort(3, size, 12, &mut stream);
            assert_eq!(cohort[0], 3);
            cohort.sort_unstable();
            cohort.dedup();
            assert_eq!(cohort.len(), size);
        }
    }
}
