//! What a client gains by going on alone: the last version fine-tuned on its own texts, and every
//! point between the two (Profit, Collins et al. 2023), on test texts like its own and on everybody's.

use std::collections::BTreeMap;

use choir_shared::sim::random::Stream;
use serde::{Deserialize, Serialize};

use super::client::{ClientTrainer, Lesson};
use super::data::{DataSet, Texts};
use super::error::SimError;

/// How far to go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Personalization {
    /// Clients, by chance.
    pub clients: usize,
    /// Steps of each on its own texts.
    pub steps: u32,
}

/// A point between the global adapter (0) and the client's own (1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    /// Where it is.
    pub own_part: f32,
    /// Accuracy on test texts with the labels of the client's own texts, mean over the clients.
    pub own_accuracy: f32,
    /// Accuracy on the watched test texts of all, mean over the clients.
    pub all_accuracy: f32,
}

const PARTS: [f32; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
/// Test texts of one client.
const OWN_TEXTS: usize = 100;

/// Fine-tunes some clients from `values` and measures the mixtures.
pub(super) fn measure(
    trainer: &mut ClientTrainer,
    data: &DataSet,
    shares: &[Vec<usize>],
    settings: &Personalization,
    values: &[f32],
    seed: u64,
) -> Result<Vec<Mixture>, SimError> {
    let mut stream = Stream::new(seed, "personal");
    let chosen = stream.choose(settings.clients, shares.len());
    let everyone = data.test.pack(&data.watched)?;
    let mut mixtures = PARTS.map(|own_part| Mixture {
        own_part,
        own_accuracy: 0.0,
        all_accuracy: 0.0,
    });
    let part = 1.0 / chosen.len().max(1) as f32;
    for &client in &chosen {
        let lesson = Lesson {
            texts: &data.train,
            places: &shares[client],
            steps: settings.steps,
            seed: stream.next_word(),
        };
        let own = trainer.train(values, &lesson, |_| {})?;
        let places = alike(&data.train, &shares[client], &data.test, &mut stream);
        let alike = data.test.pack(&places)?;
        for mixture in &mut mixtures {
            let mixed = values.iter().zip(&own);
            let mixed: Vec<f32> = mixed.map(|(g, l)| g + mixture.own_part * (l - g)).collect();
            mixture.own_accuracy += part * trainer.evaluate(&mixed, &alike)?.accuracy;
            mixture.all_accuracy += part * trainer.evaluate(&mixed, &everyone)?.accuracy;
        }
    }
    Ok(mixtures.to_vec())
}

/// Places of test texts whose labels are drawn from those of a share.
fn alike(train: &Texts, share: &[usize], test: &Texts, stream: &mut Stream) -> Vec<usize> {
    let mut by_label: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (place, &label) in test.labels.iter().enumerate() {
        by_label.entry(label).or_default().push(place);
    }
    let draws = (0..OWN_TEXTS).filter_map(|_| {
        let label = train.labels[share[stream.below(share.len())]];
        let known = by_label.get(&label)?;
        Some(known[stream.below(known.len())])
    });
    draws.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_texts_like_a_share_have_its_labels() {
        let texts = |labels: &[u32]| Texts {
            tokens: vec![vec![1]; labels.len()],
            labels: labels.to_vec(),
        };
        let (train, test) = (texts(&[0, 1, 2, 1]), texts(&[2, 2, 1, 0, 1]));
        let places = alike(&train, &[1, 3], &test, &mut Stream::new(1, "test"));
        assert_eq!(places.len(), OWN_TEXTS);
        assert!(places.iter().all(|&place| test.labels[place] == 1));
    }
}
