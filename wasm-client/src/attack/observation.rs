//! What an attacker sees: the sum of the updates of a cohort, with noise or without.

use choir_shared::sim::random::Stream;
use choir_shared::task::Target;

use super::AttackError;
use super::network::{Network, Place};
use super::texts::Text;
use super::weights::BaseWeights;

/// The part of one client's update that the attacks read, and the length of all of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Contribution {
    /// Matrices whose columns are combinations of what the first block reads, side by side:
    /// `[dim, columns]`.
    pub(super) inputs: Vec<f32>,
    /// The same of the second block; empty where it is not looked at.
    pub(super) second_inputs: Vec<f32>,
    /// Columns of each.
    pub(super) columns: usize,
    /// The head's weight `[dim, labels]`, then its bias.
    pub(super) head: Vec<f32>,
    /// L2 norm of the whole update.
    pub(super) norm: f64,
    /// Coordinates of the whole update.
    pub(super) coordinates: usize,
    /// Tokens whose row of the word embeddings has a gradient: what a trained embedding would
    /// show. Empty where embeddings are not part of the update.
    pub(super) embedding_rows: Vec<u32>,
}

/// Gaussian noise as a server would add it to a sum of clipped updates (McMahan et al. 2018).
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise {
    /// L2 bound of one update.
    pub(super) clip: f64,
    /// Standard deviation over that bound.
    pub(super) multiplier: f64,
}

/// A sum as it is seen.
#[derive(Clone, Debug)]
pub(super) struct Observation {
    /// `[dim, columns]`, as in [`Contribution::inputs`].
    pub(super) inputs: Vec<f32>,
    /// As in [`Contribution::second_inputs`].
    pub(super) second_inputs: Vec<f32>,
    /// Columns of each.
    pub(super) columns: usize,
    /// The head's weight `[dim, labels]`, then its bias.
    pub(super) head: Vec<f32>,
    /// Standard deviation of the noise in each coordinate.
    pub(super) noise: f64,
}

impl Observation {
    /// The sum over a cohort; with noise each update is clipped first.
    pub(super) fn sum(cohort: &[&Contribution], noise: Option<Noise>, stream: &mut Stream) -> Self {
        let [mut inputs, mut second_inputs, mut head] = [const { Vec::<f32>::new() }; 3];
        for client in cohort {
            let scale = noise.map_or(1.0, |noise| (noise.clip / client.norm).min(1.0)) as f32;
            for (sum, values) in [
                (&mut inputs, &client.inputs),
                (&mut second_inputs, &client.second_inputs),
                (&mut head, &client.head),
            ] {
                sum.resize(values.len(), 0.0);
                for (sum, value) in sum.iter_mut().zip(values) {
                    *sum += scale * value;
                }
            }
        }
        let deviation = noise.map_or(0.0, |noise| noise.clip * noise.multiplier);
        if deviation > 0.0 {
            let first = inputs.iter_mut().chain(&mut head);
            for value in first.chain(&mut second_inputs) {
                *value += (deviation * stream.normal()) as f32;
            }
        }
        Self {
            inputs,
            second_inputs,
            columns: cohort.first().map_or(0, |client| client.columns),
            head,
            noise: deviation,
        }
    }
}

/// The gradient of every weight of the encoder and the head on one text.
pub(super) fn full_gradient(
    network: &mut Network,
    base: &BaseWeights,
    text: &Text,
) -> Result<Contribution, AttackError> {
    let weights = network.weights().to_vec();
    let gradient = network.gradient(&weights, &base.embeddings(&text.tokens), text.label)?;
    let dim = base.shape().dim as usize;
    let inputs_of = |layer| {
        let of = |target| slice(network, &gradient.weights, Place::Weight(layer, target));
        side_by_side(&[Target::Q, Target::K, Target::V].map(of), dim)
    };
    let head = [Place::HeadWeight, Place::HeadBias]
        .map(|place| slice(network, &gradient.weights, place))
        .concat();
    // A token's row of the word embeddings gets the gradients of the places where it stands.
    let mut embedding_rows: Vec<u32> = text
        .tokens
        .iter()
        .zip(gradient.embeddings.chunks_exact(dim))
        .filter(|(_, row)| row.iter().any(|value| *value != 0.0))
        .map(|(token, _)| *token)
        .collect();
    embedding_rows.sort_unstable();
    embedding_rows.dedup();
    Ok(Contribution {
        inputs: inputs_of(0),
        second_inputs: inputs_of(1),
        columns: 3 * dim,
        head,
        norm: norm(&gradient.weights),
        coordinates: gradient.weights.len(),
        embedding_rows,
    })
}

/// Matrices of `rows` rows beside each other.
pub(super) fn side_by_side(matrices: &[&[f32]], rows: usize) -> Vec<f32> {
    let mut out = Vec::new();
    for row in 0..rows {
        for matrix in matrices {
            let columns = matrix.len() / rows;
            out.extend_from_slice(&matrix[row * columns..(row + 1) * columns]);
        }
    }
    out
}

/// L2 norm.
pub(super) fn norm(values: &[f32]) -> f64 {
    values
        .iter()
        .map(|x| f64::from(*x).powi(2))
        .sum::<f64>()
        .sqrt()
}

fn slice<'a>(network: &Network, values: &'a [f32], place: Place) -> &'a [f32] {
    network
        .parts()
        .iter()
        .find(|part| part.place == place)
        .map_or(&[], |part| &values[part.parameter.range.clone()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(value: f32, norm: f64) -> Contribution {
        Contribution {
            inputs: vec![value; 4],
            columns: 2,
            head: vec![2.0 * value; 3],
            norm,
            ..Contribution::default()
        }
    }

    #[test]
    fn a_sum_without_noise_is_the_plain_sum() {
        let clients = [client(1.0, 9.0), client(2.0, 9.0)];
        let cohort: Vec<&Contribution> = clients.iter().collect();
        let sum = Observation::sum(&cohort, None, &mut Stream::new(1, "noise"));
        assert_eq!(sum.inputs, [3.0; 4]);
        assert_eq!(sum.head, [6.0; 3]);
    }

    #[test]
    fn with_noise_updates_are_clipped_and_every_coordinate_moves() {
        let clients = [client(4.0, 2.0), client(1.0, 0.5)];
        let cohort: Vec<&Contribution> = clients.iter().collect();
        let at = |multiplier| {
            let noise = Noise {
                clip: 1.0,
                multiplier,
            };
            Observation::sum(&cohort, Some(noise), &mut Stream::new(1, "noise"))
        };
        // The first is halved, the second is short enough.
        assert_eq!(at(0.0).inputs, [3.0; 4]);
        let noisy = at(1.0);
        assert!(noisy.inputs.iter().all(|value| *value != 3.0));
        assert!(noisy.head.iter().all(|value| *value != 6.0));
    }

    #[test]
    fn matrices_beside_each_other_keep_their_rows() {
        let wide = side_by_side(&[&[1.0, 2.0, 5.0, 6.0], &[3.0, 7.0]], 2);
        assert_eq!(wide, [1.0, 2.0, 3.0, 5.0, 6.0, 7.0]);
    }
}
