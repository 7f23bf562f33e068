//! Every kernel against plain f64 arithmetic, on whatever Vulkan driver there is, with the tiles of
//! software and of hardware devices.

use super::super::kernels::{Kernels, LinearCall};
use super::super::{Batch, EngineError};
use super::{GpuBuffer, Tuning, WgslKernels};

mod attention;
mod decoder;
mod linear;
mod low_rank;
mod model;
mod rows;

/// The shape of the tiles for software devices, small enough for a native compiler.
const TALL: Tuning = Tuning {
    rows: 6,
    columns: 16,
    group: [4, 1],
    stored_in_loop: true,
    attention_rows: 2,
    attention_streamed: 3,
};

/// Bytes of a part of a matrix: a few rows of the matrices of these tests.
const PART: u64 = 1_000;

/// Runs `check` with two sets of tiles; says why where there is no device.
fn on_device(check: impl Fn(&mut WgslKernels)) {
    for tuning in [TALL, Tuning::HARDWARE] {
        with_tiles(tuning, &check);
    }
}

/// As [`on_device`], and once more with every larger matrix in several buffers.
fn whole_and_split(check: impl Fn(&mut WgslKernels)) {
    on_device(&check);
    for tuning in [TALL, Tuning::HARDWARE] {
        with_tiles(tuning, |kernels| {
            kernels.device.largest_matrix = PART;
            check(kernels);
        });
    }
}

fn with_tiles(tuning: Tuning, check: impl Fn(&mut WgslKernels)) {
    match pollster::block_on(WgslKernels::open_tuned(tuning)) {
        Ok(mut kernels) => check(&mut kernels),
        Err(EngineError::NoDevice(reason)) => println!("skipped, no Vulkan device: {reason}"),
        Err(error) => panic!("{error}"),
    }
}

/// Seeded values in -1..1.
struct Values(u32);

impl Values {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }

    fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// Values in scratch, as activations are.
fn put(kernels: &mut WgslKernels, values: &[f32], rows: usize) -> GpuBuffer {
    let buffer = kernels.allocate(rows, values.len() / rows).unwrap();
    kernels
        .device
        .queue
        .write_buffer(&buffer.raw, 0, bytemuck::cast_slice(values));
    buffer
}

/// Scratch full of values that no kernel may let through.
fn scratch(kernels: &mut WgslKernels, rows: usize, columns: usize) -> GpuBuffer {
    let buffer = kernels.allocate(rows, columns).unwrap();
    let rubbish = vec![f32::NAN; buffer.len];
    kernels
        .device
        .queue
        .write_buffer(&buffer.raw, 0, bytemuck::cast_slice(&rubbish));
    buffer
}

fn get(kernels: &mut WgslKernels, buffer: &GpuBuffer, len: usize) -> Vec<f32> {
    pollster::block_on(kernels.read(buffer, len)).unwrap()
}

fn gradient(kernels: &mut WgslKernels) -> Vec<f32> {
    pollster::block_on(kernels.read_gradient()).unwrap()
}

/// Largest difference relative to the largest expected value.
#[track_caller]
fn assert_near(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected
        .iter()
        .fold(1e-3_f64, |top, value| top.max(value.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs() / scale;
        assert!(
            error < 1e-5,
            "{what} [{i}]: found {found}, expected {expected}"
        );
    }
}

/// A batch of sequences of these lengths, virtual tokens not counted.
fn batch(lengths: &[u32], num_virtual_tokens: u32) -> Batch {
    let mut token_starts = vec![0];
    for length in lengths {
        token_starts.push(token_starts[token_starts.len() - 1] + length);
    }
    let count = token_starts[lengths.len()];
    Batch {
        tokens: (0..count).map(|i| (i * 7 + 3) % 50).collect(),
        token_starts,
        labels: (0..lengths.len() as u32).map(|b| b % 3).collect(),
        num_virtual_tokens,
        past: 0,
    }
}

/// `[m, k] · [k, n]`.
fn matmul(x: &[f64], w: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut y = vec![0.0; m * n];
    for i in 0..m {
        for s in 0..k {
            for j in 0..n {
                y[i * n + j] += x[i * k + s] * w[s * n + j];
            }
        }
    }
    y
}

fn transpose(x: &[f64], [rows, columns]: [usize; 2]) -> Vec<f64> {
    (0..rows * columns)
        .map(|i| x[i % rows * columns + i / rows])
        .collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

#[test]
fn a_buffer_that_is_too_small_is_refused() {
    on_device(|kernels| {
        let x = kernels.allocate(1, 4).unwrap();
        let weight = kernels.upload(&[0.0; 16], [4, 4]).unwrap();
        let layer = super::super::LinearLayer {
            weight: super::super::Weight::Frozen(weight),
            bias: None,
            trained_bias: None,
            lora: None,
            shape: [4, 4],
        };
        let call = LinearCall {
            x: &x,
            layer: &layer,
            low_rank: None,
            y: &x,
            rows: 10_000,
        };
        assert!(matches!(
            kernels.linear(call),
            Err(EngineError::Shape { .. })
        ));
        assert!(matches!(
            kernels.upload(&[0.0; 3], [2, 2]),
            Err(EngineError::Shape { .. })
        ));
    });
}

/// Ends the step and reads its loss.
fn loss(kernels: &mut WgslKernels) -> f32 {
    kernels.end_step().unwrap();
    pollster::block_on(kernels.read_losses()).unwrap()[0]
}

#[test]
fn a_lost_device_fails_the_next_call() {
    on_device(|kernels| {
        kernels.device.device.destroy();
        let lost = kernels
            .end_step()
            .and_then(|()| pollster::block_on(kernels.read_losses()));
        assert!(matches!(lost, Err(EngineError::DeviceLost(_))), "{lost:?}");
        let lost = kernels.begin(&batch(&[1], 0));
        assert!(matches!(lost, Err(EngineError::DeviceLost(_))), "{lost:?}");
    });
}
