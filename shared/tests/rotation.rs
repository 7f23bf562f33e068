//! The random rotation: what it is, that it can be undone, and what it is for.

use chacha20::cipher::StreamCipher;
use chacha20::{ChaCha20, KeyIvInit};
use choir_shared::fixed_point;
use choir_shared::ids::Digest;
use choir_shared::policy::Policy;
use choir_shared::rotation::Rotation;
use choir_shared::sim::random::Stream;
use choir_shared::sim::{self, Faults, Plan};
use choir_shared::task::AdapterLayout;

#[path = "support/quantiser_error.rs"]
mod quantiser_error;

use quantiser_error::{best, heavy_tailed, normal, two_scales, unclipped};

const SEED: [u8; 32] = [42; 32];

fn values(len: usize) -> Vec<f32> {
    let mut stream = Stream::new(len as u64, "values");
    (0..len).map(|_| stream.normal() as f32).collect()
}

fn norm(values: &[f32]) -> f64 {
    values
        .iter()
        .map(|&x| f64::from(x).powi(2))
        .sum::<f64>()
        .sqrt()
}

fn distance(left: &[f32], right: &[f32]) -> f64 {
    let difference: Vec<f32> = left.iter().zip(right).map(|(x, y)| x - y).collect();
    norm(&difference)
}

#[test]
fn what_is_rotated_keeps_its_norm_and_comes_back() {
    let rotation = Rotation::new(&SEED);
    for len in (1..70).chain([127, 128, 129, 1_000, 4_096, 100_003]) {
        let before = values(len);
        let mut rotated = before.clone();
        rotation.apply(&mut rotated);
        assert!((norm(&rotated) / norm(&before) - 1.0).abs() < 1e-5, "{len}");
        assert!(len < 3 || distance(&rotated, &before) > 0.1, "{len}");
        rotation.undo(&mut rotated);
        assert!(distance(&rotated, &before) < 1e-5 * norm(&before), "{len}");
    }
    let mut nothing: [f32; 0] = [];
    rotation.apply(&mut nothing);
    rotation.undo(&mut nothing);
}

/// The transform by its definition: row i, column j is the parity of the bits that i and j share.
fn by_definition(values: &mut [f32], window: u8) {
    let key = Digest::of_parts(&[b"choir/rotation", &[window], &SEED]);
    let mut signs = vec![0u8; values.len().div_ceil(8)];
    ChaCha20::new(&key.0.into(), &[0; 12].into()).apply_keystream(&mut signs);
    let signed: Vec<f64> = (0..values.len())
        .map(|j| match signs[j / 8] >> (j % 8) & 1 {
            1 => -f64::from(values[j]),
            _ => f64::from(values[j]),
        })
        .collect();
    let scale = (values.len() as f64).sqrt();
    for (i, value) in values.iter_mut().enumerate() {
        let entry = |j: usize| {
            if (i & j).count_ones().is_multiple_of(2) {
                1.0
            } else {
                -1.0
            }
        };
        let row: f64 = signed.iter().enumerate().map(|(j, x)| entry(j) * x).sum();
        *value = (row / scale) as f32;
    }
}

#[test]
fn the_rotation_is_the_documented_one() {
    for (len, window) in [
        (1, 1),
        (2, 2),
        (3, 2),
        (8, 8),
        (11, 8),
        (16, 16),
        (200, 128),
    ] {
        let mut expected = values(len);
        by_definition(&mut expected[..window], 0);
        if window < len {
            by_definition(&mut expected[len - window..], 1);
        }
        let mut found = values(len);
        Rotation::new(&SEED).apply(&mut found);
        assert!(
            distance(&found, &expected) < 1e-5 * norm(&expected),
            "{len}"
        );
    }
}

#[test]
fn one_large_coordinate_is_spread_over_all_of_its_windows() {
    for len in [4_096, 6_000, 8_191] {
        for place in [0, 1, len / 2, len - 1] {
            let mut spike = vec![0.0; len];
            spike[place] = 1.0;
            Rotation::new(&SEED).apply(&mut spike);
            let largest = spike.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            // 64 if it is spread over 4,096 evenly; a second window mixes random signs.
            assert!(largest < 6.0 / 64.0, "{len}, {place}: {largest}");
        }
    }
}

#[test]
fn another_seed_is_another_rotation() {
    let rotated = |seed: &[u8; 32]| {
        let mut values = values(64);
        Rotation::new(seed).apply(&mut values);
        values
    };
    assert!(distance(&rotated(&SEED), &rotated(&[43; 32])) > 1.0);
}

#[test]
fn a_round_with_rotation_publishes_the_mean_of_its_updates() {
    let mut task = sim::head_task(5, 3, 300);
    task.rotation = true;
    task.quantiser.bound = 4.0;
    assert_eq!(task.check(), Ok(()));
    let len = AdapterLayout::new(&task).expect("a layout").len();
    assert_eq!(len, 602);
    let updates: Vec<(Vec<f32>, u32)> = (1..=5)
        .map(|client| {
            let mut stream = Stream::new(u64::from(client), "update");
            ((0..len).map(|_| stream.normal() as f32).collect(), client)
        })
        .collect();
    let mut exact = vec![0.0; len];
    for (update, weight) in &updates {
        let share = *weight as f32 / 15.0;
        exact
            .iter_mut()
            .zip(update)
            .for_each(|(sum, x)| *sum += share * x);
    }
    let report = sim::run(Plan {
        seed: 4,
        task: task.clone(),
        updates,
        policy: Policy::demo(),
        faults: Faults::default(),
    })
    .expect("a sound task");
    let outcome = report.outcome.expect("a sum");
    assert!(distance(&outcome.mean, &exact) < 1e-4 * norm(&exact));
    // Whoever forgets to rotate back has something else.
    task.rotation = false;
    let rotated = fixed_point::mean(&outcome.sum, &task).expect("a weight");
    assert!(distance(&rotated, &exact) > norm(&exact));
}

#[test]
fn rotation_lowers_the_error_of_heavy_tails_and_costs_normal_ones_little() {
    let (clients, coordinates) = (10, 20_002);
    for levels in [255, 16_383] {
        for updates in [
            heavy_tailed(clients, coordinates),
            two_scales(clients, coordinates),
        ] {
            let plain = unclipped(&updates, levels, false);
            let rotated = unclipped(&updates, levels, true);
            assert!(rotated.error < plain.error / 4.0, "{plain:?} {rotated:?}");
            assert!(rotated.bound < plain.bound / 4.0, "{plain:?} {rotated:?}");
        }
        let updates = normal(clients, coordinates);
        let (plain, rotated) = (
            unclipped(&updates, levels, false),
            unclipped(&updates, levels, true),
        );
        assert!(rotated.error < 1.3 * plain.error, "{plain:?} {rotated:?}");
    }
    // Even against the best bound, which nobody knows before the round.
    let updates = heavy_tailed(clients, coordinates);
    assert!(unclipped(&updates, 255, true).error < best(&updates, 255, false).error);
}
