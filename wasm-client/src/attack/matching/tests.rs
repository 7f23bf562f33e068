//! Gradient matching on a small encoder of seeded weights.

use choir_shared::task::EncoderShape;

use super::*;
use crate::model::tensors::{EncoderTensor, NormPlace};

const SHAPE: EncoderShape = EncoderShape {
    dim: 16,
    layers: 2,
    heads: 2,
    intermediate: 32,
    vocabulary: 40,
    positions: 12,
    norm_eps: 1e-12,
};

fn small() -> (BaseWeights, Network) {
    let mut stream = Stream::new(5, "weights");
    let base = BaseWeights::of(SHAPE, |tensor| {
        let [rows, columns] = tensor.shape(&SHAPE);
        let count = rows.max(1) * columns;
        match tensor {
            EncoderTensor::NormGain(NormPlace::Embeddings) => vec![0.9; count],
            EncoderTensor::NormGain(_) => vec![1.1; count],
            _ => (0..count).map(|_| 0.3 * stream.normal() as f32).collect(),
        }
    });
    let head: Vec<f32> = (0..16 * 3).map(|_| stream.normal() as f32).collect();
    let network = Network::new(&base, &head, 2).unwrap();
    (base, network)
}

fn gradient_of(network: &mut Network, base: &BaseWeights, tokens: &[u32]) -> Vec<f32> {
    let theta = network.weights().to_vec();
    network
        .gradient(&theta, &base.embeddings(tokens), 1)
        .unwrap()
        .weights
}

#[test]
fn the_difference_of_gradients_is_the_slope_of_the_distance() {
    let (base, mut network) = small();
    let observed = gradient_of(&mut network, &base, &[1, 7, 9, 4, 2]);
    let theta = network.weights().to_vec();
    let mut problem = Problem {
        network: &mut network,
        base: &base,
        target: Target {
            gradient: &observed,
            ends: [1, 2],
            length: 5,
            label: 1,
        },
        theta,
    };
    let embeddings = base.embeddings(&[1, 3, 30, 22, 2]);
    let (slope, value) = problem.slope(&embeddings).unwrap();
    assert!(value > 0.5, "another sentence is far: {value}");
    let mut stream = Stream::new(9, "direction");
    for _ in 0..3 {
        let direction: Vec<f32> = embeddings.iter().map(|_| stream.normal() as f32).collect();
        let mut at = |step: f32| {
            let moved: Vec<f32> = embeddings
                .iter()
                .zip(&direction)
                .map(|(x, d)| x + step * d)
                .collect();
            problem.distance(&moved).unwrap()
        };
        let expected = (at(2e-3) - at(-2e-3)) / 4e-3;
        let found: f64 = slope
            .iter()
            .zip(&direction)
            .map(|(s, d)| f64::from(*s) * f64::from(*d))
            .sum();
        assert!(
            (found - expected).abs() < 0.02 * expected.abs().max(0.5),
            "{found}, not {expected}"
        );
    }
}

#[test]
fn a_text_has_no_distance_to_itself() {
    let (base, mut network) = small();
    let observed = gradient_of(&mut network, &base, &[1, 7, 9, 4, 2]);
    let other = gradient_of(&mut network, &base, &[1, 9, 7, 4, 2]);
    let parts = network.parts();
    assert!(distance(parts, &observed, &observed, None).abs() < 1e-9);
    assert!(distance(parts, &other, &observed, None) > 1e-3);
}

#[test]
fn a_small_encoders_gradient_gives_its_tokens_away() {
    let (base, mut network) = small();
    let text = [1, 7, 9, 4, 2];
    let observed = gradient_of(&mut network, &base, &text);
    let target = Target {
        gradient: &observed,
        ends: [1, 2],
        length: 5,
        label: 1,
    };
    let search = Search {
        steps: 400,
        learning_rate: 0.02,
    };
    let mut stream = Stream::new(1, "start");
    let (found, left) = reconstruct(&mut network, &base, target, search, &mut stream).unwrap();
    assert_eq!(found, text, "distance {left}");
}
