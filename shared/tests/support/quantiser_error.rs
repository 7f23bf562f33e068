//! How far the decoded mean of a cohort lies from the mean of its updates.
#![allow(dead_code, reason = "each user takes what it needs")]

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::fixed_point;
use choir_shared::rotation::Rotation;
use choir_shared::sim;
use choir_shared::sim::random::Stream;
use choir_shared::task::{Quantiser, TaskConfig};
use choir_shared::update::FrozenUpdate;

/// The root of the mean squared error of the decoded mean over the root of the mean square of the
/// mean itself, and the bound that it was had with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) error: f64,
    pub(crate) bound: f32,
}

/// With the smallest bound that clips nothing.
pub(crate) fn unclipped(updates: &[Vec<f32>], levels: u32, rotation: bool) -> Measured {
    let bound = largest(updates, rotation);
    measured(updates, levels, bound, rotation)
}

/// With the best of the bounds from there down to a thousandth, a quarter less each time.
pub(crate) fn best(updates: &[Vec<f32>], levels: u32, rotation: bool) -> Measured {
    let largest = largest(updates, rotation);
    (0..24)
        .map(|power| measured(updates, levels, largest * 0.75_f32.powi(power), rotation))
        .min_by(|one, other| one.error.total_cmp(&other.error))
        .expect("there are bounds")
}

/// The magnitude of the largest coordinate.
fn largest(updates: &[Vec<f32>], rotation: bool) -> f32 {
    let task = task(updates, 1, 1.0, rotation);
    let largest = updates.iter().map(|update| {
        let mut update = update.clone();
        if rotation {
            Rotation::new(&task.seed).apply(&mut update);
        }
        update.iter().fold(0.0, |most: f32, x| most.max(x.abs()))
    });
    largest.fold(0.0, f32::max)
}

fn measured(updates: &[Vec<f32>], levels: u32, bound: f32, rotation: bool) -> Measured {
    let task = task(updates, levels, bound, rotation);
    let mut entropy = InsecureSeededEntropy::new(11);
    let mut sum = vec![0u32; updates[0].len() + 1];
    for update in updates {
        let frozen = FrozenUpdate::new(update, 1, &task, &mut entropy).expect("an update");
        sum.iter_mut()
            .zip(frozen.plain_words())
            .for_each(|(total, word)| *total += word);
    }
    let found = fixed_point::mean(&sum, &task).expect("a weight");
    let (mut error, mut size) = (0.0, 0.0);
    for (at, found) in found.iter().enumerate() {
        let exact: f64 = updates.iter().map(|update| f64::from(update[at])).sum();
        let exact = exact / updates.len() as f64;
        error += (f64::from(*found) - exact).powi(2);
        size += exact * exact;
    }
    Measured {
        error: (error / size).sqrt(),
        bound,
    }
}

/// A task with room for the updates, whose number of coordinates must be even.
fn task(updates: &[Vec<f32>], levels: u32, bound: f32, rotation: bool) -> TaskConfig {
    let clients = updates.len() as u16;
    let dim = updates[0].len() / 2 - 1;
    assert_eq!(2 * dim + 2, updates[0].len());
    let mut task = sim::head_task(clients, 3, dim as u32);
    task.quantiser = Quantiser {
        levels,
        bound,
        weight_max: 1,
    };
    task.rotation = rotation;
    task
}

/// Updates whose coordinates follow Student's t with three degrees of freedom.
pub(crate) fn heavy_tailed(clients: usize, coordinates: usize) -> Vec<Vec<f32>> {
    let mut stream = Stream::new(1, "heavy tails");
    let mut student = || {
        let squares: f64 = (0..3).map(|_| stream.normal().powi(2)).sum();
        (0.01 * stream.normal() / (squares / 3.0).sqrt()) as f32
    };
    (0..clients)
        .map(|_| (0..coordinates).map(|_| student()).collect())
        .collect()
}

/// Updates of normal coordinates.
pub(crate) fn normal(clients: usize, coordinates: usize) -> Vec<Vec<f32>> {
    let mut stream = Stream::new(1, "normal");
    (0..clients)
        .map(|_| {
            (0..coordinates)
                .map(|_| (0.01 * stream.normal()) as f32)
                .collect()
        })
        .collect()
}

/// Updates like a layer's beside a head's: one coordinate in a hundred is fifty times as large.
pub(crate) fn two_scales(clients: usize, coordinates: usize) -> Vec<Vec<f32>> {
    let mut updates = normal(clients, coordinates);
    for update in &mut updates {
        let from = coordinates - coordinates / 100;
        update[from..].iter_mut().for_each(|x| *x *= 50.0);
    }
    updates
}
