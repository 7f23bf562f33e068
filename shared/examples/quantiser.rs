//! What rounding, rotation and noise do and cost:
//! `cargo run --release -p choir-shared --features test-util --example quantiser -- [UPDATE.f32]...`
//!
//! The error is that of the decoded mean of ten clients, root mean square over the mean's own, with
//! the smallest bound that clips nothing and with the best bound in hindsight. Each file named is the
//! update of one client (f32, little-endian, an even number of them).

use std::hint::black_box;
use std::time::Instant;

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::fixed_point;
use choir_shared::noise::Noise;
use choir_shared::rotation::Rotation;

#[path = "../tests/support/quantiser_error.rs"]
mod quantiser_error;

use quantiser_error::{best, heavy_tailed, normal, two_scales, unclipped};

const COORDINATES: usize = 100_000;

fn main() {
    let files: Vec<Vec<f32>> = std::env::args()
        .skip(1)
        .map(|path| {
            let bytes = std::fs::read(&path).expect("the file can be read");
            fixed_point::adapter_from_bytes(&bytes).expect("whole numbers of f32")
        })
        .collect();
    println!("updates          L      unclipped    rotated       best    rotated   bound  rotated");
    error_rows("normal", &normal(10, COORDINATES));
    error_rows("Student's t, 3", &heavy_tailed(10, COORDINATES));
    error_rows("two scales", &two_scales(10, COORDINATES));
    if files.len() >= 3 {
        error_rows("from files", &files);
    }
    println!("noise: variance of a share, ns for each coordinate");
    for variance in [0.5, 10.0, 23.9, 24.1, 1_000.0, 364_722.0, 9.3e7] {
        println!("{variance:>10} {:>8.1}", noise_ns(variance));
    }
    println!("rotation: coordinates, ms to apply");
    for coordinates in [100_000, 131_072, 1_000_000] {
        println!("{coordinates:>10} {:>8.2}", rotation_ms(coordinates));
    }
}

fn error_rows(name: &str, updates: &[Vec<f32>]) {
    for levels in [255, 16_383] {
        let [plain, rotated] = [false, true].map(|rotation| unclipped(updates, levels, rotation));
        let [plain_best, rotated_best] =
            [false, true].map(|rotation| best(updates, levels, rotation));
        println!(
            "{name:<16} {levels:<6} {:>9.5} {:>10.5} {:>10.5} {:>10.5}   {:.4} {:.4} ({:.4} {:.4})",
            plain.error,
            rotated.error,
            plain_best.error,
            rotated_best.error,
            plain.bound,
            rotated.bound,
            plain_best.bound,
            rotated_best.bound,
        );
    }
}

/// Best of five.
fn best_seconds(mut work: impl FnMut()) -> f64 {
    let mut time = || {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..5).map(|_| time()).fold(f64::INFINITY, f64::min)
}

fn noise_ns(variance: f64) -> f64 {
    let mut noise = Noise::new(variance, &mut InsecureSeededEntropy::new(1)).expect("a variance");
    let seconds = best_seconds(|| {
        black_box((0..COORDINATES).fold(0, |sum, _| sum ^ noise.sample()));
    });
    seconds * 1e9 / COORDINATES as f64
}

fn rotation_ms(coordinates: usize) -> f64 {
    let mut values = normal(1, coordinates).remove(0);
    1e3 * best_seconds(|| Rotation::new(&[1; 32]).apply(black_box(&mut values)))
}
