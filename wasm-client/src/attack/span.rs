//! The span test (DAGER, Petrov et al. 2024): a linear layer's weight gradient is `xᵀ·dy`, so its
//! columns are combinations of the inputs `x`, one for each token of the batch. A token at a place
//! was in the batch only if its input lies in the span of those columns.
//!
//! Instead of a rank that is cut off somewhere, the distance to the span is weighed by how strong
//! each direction is against a ridge `λ`: `λ·xᵀ(G + λ)⁻¹x / xᵀx` with `G` the Gram matrix of the
//! gradient's rows. It is 0 for what the gradient shows clearly, 1 for what it does not show, and
//! with `λ` at the level of the noise it stays the right question for noisy sums.

use choir_shared::sim::random::Stream;

use super::AttackError;
use super::network::Network;
use super::observation::Observation;
use super::weights::BaseWeights;
use crate::engine::cpu::CpuBuffer;
use crate::engine::record::Value;

/// Rows of one product.
const CHUNK: usize = 4096;
/// Columns of the sketch that the whole vocabulary is sieved with.
const SKETCH: usize = 16;
/// Candidates that the sieve leaves.
const LEFT: usize = 64;
/// Where no noise is known: what single precision leaves of a direction, over the mean eigenvalue.
pub(super) const EXACT: f64 = 1e-11;

/// The span of one observation's gradient.
pub(super) struct Span {
    /// `L⁻ᵀ` of `G + λ = L·Lᵀ`, so that `x·L⁻ᵀ` has the squared length `xᵀ(G + λ)⁻¹x`.
    whitening: Value<CpuBuffer>,
    /// The same times a few random directions, `[dim, SKETCH]`.
    sketch: Value<CpuBuffer>,
    ridge: f64,
    dim: usize,
}

impl Span {
    /// The span of what the first block reads, with a ridge of at least `least` times the mean
    /// eigenvalue.
    pub(super) fn of(
        observation: &Observation,
        network: &mut Network,
        least: f64,
    ) -> Result<Self, AttackError> {
        Self::within(&observation.inputs, observation, network, least)
    }

    /// The same for the second block.
    pub(super) fn of_second(
        observation: &Observation,
        network: &mut Network,
        least: f64,
    ) -> Result<Self, AttackError> {
        Self::within(&observation.second_inputs, observation, network, least)
    }

    fn within(
        inputs: &[f32],
        observation: &Observation,
        network: &mut Network,
        least: f64,
    ) -> Result<Self, AttackError> {
        let dim = inputs.len() / observation.columns.max(1);
        let mut gram = gram(inputs, dim);
        let mean = (0..dim).map(|i| gram[i * dim + i]).sum::<f64>() / dim as f64;
        if !(mean.is_finite() && mean > 0.0) {
            return Err(AttackError::Data(
                "an update without any gradient of its first blocks".to_owned(),
            ));
        }
        let noise = observation.columns as f64 * observation.noise.powi(2);
        let ridge = (noise / mean).max(least);
        gram.iter_mut().for_each(|value| *value /= mean);
        (0..dim).for_each(|i| gram[i * dim + i] += ridge);
        let whitening = inverse_of_cholesky(&mut gram, dim);
        let mut stream = Stream::new(0, "sketch");
        let random: Vec<f32> = (0..dim * SKETCH).map(|_| stream.normal() as f32).collect();
        Ok(Self {
            sketch: network.matrix(&product(&whitening, &random, dim), SKETCH)?,
            whitening: network.matrix(&whitening, dim)?,
            ridge,
            dim,
        })
    }

    /// How far each of these tokens is from the span at one place: from 0 to 1.
    pub(super) fn distances(
        &self,
        network: &mut Network,
        base: &BaseWeights,
        tokens: &[u32],
        position: usize,
    ) -> Result<Vec<f64>, AttackError> {
        let mut distances = Vec::with_capacity(tokens.len());
        for chunk in tokens.chunks(CHUNK) {
            distances.extend(self.of_rows(network, &base.first_inputs(chunk, position))?);
        }
        Ok(distances)
    }

    /// The nearest of many tokens at one place. A token within the span is near in every direction,
    /// so a few random ones sieve out the rest.
    pub(super) fn nearest(
        &self,
        network: &mut Network,
        base: &BaseWeights,
        tokens: &[u32],
        position: usize,
    ) -> Result<u32, AttackError> {
        let mut sieved: Vec<(f64, u32)> = Vec::with_capacity(tokens.len());
        for chunk in tokens.chunks(CHUNK) {
            let rows = base.first_inputs(chunk, position);
            let found = network.squared_lengths(&rows, &self.sketch, SKETCH)?;
            sieved.extend(found.into_iter().zip(chunk.iter().copied()));
        }
        sieved.sort_by(|a, b| a.0.total_cmp(&b.0));
        let left: Vec<u32> = sieved.iter().take(LEFT).map(|(_, token)| *token).collect();
        let distances = self.distances(network, base, &left, position)?;
        let nearest = distances.iter().zip(&left);
        let nearest = nearest.min_by(|a, b| a.0.total_cmp(b.0));
        nearest
            .map(|(_, token)| *token)
            .ok_or_else(|| AttackError::Data("a vocabulary without tokens".to_owned()))
    }

    /// How far each row of `[rows, dim]` is from the span.
    pub(super) fn of_rows(
        &self,
        network: &mut Network,
        rows: &[f32],
    ) -> Result<Vec<f64>, AttackError> {
        let found = network.squared_lengths(rows, &self.whitening, self.dim)?;
        let lengths = rows
            .chunks_exact(self.dim)
            .map(|row| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>());
        let distance =
            |(found, length): (&f64, f64)| self.ridge * found / length.max(f64::MIN_POSITIVE);
        Ok(found.iter().zip(lengths).map(distance).collect())
    }
}

/// `M·Mᵀ` of a matrix of `dim` rows.
fn gram(matrix: &[f32], dim: usize) -> Vec<f64> {
    let columns = matrix.len() / dim.max(1);
    let wide: Vec<f64> = matrix.iter().map(|x| f64::from(*x)).collect();
    let row = |i: usize| &wide[i * columns..(i + 1) * columns];
    let mut gram = vec![0.0; dim * dim];
    for i in 0..dim {
        for j in 0..=i {
            let value = dot(row(i), row(j));
            gram[i * dim + j] = value;
            gram[j * dim + i] = value;
        }
    }
    gram
}

/// Factors a positive definite matrix as `L·Lᵀ` in place, and yields `L⁻ᵀ`, row-major.
fn inverse_of_cholesky(matrix: &mut [f64], dim: usize) -> Vec<f32> {
    for i in 0..dim {
        for j in 0..=i {
            let (head, tail) = matrix.split_at(i * dim);
            let sum = if i == j {
                dot(&tail[..j], &tail[..j])
            } else {
                dot(&tail[..j], &head[j * dim..j * dim + j])
            };
            let value = matrix[i * dim + j] - sum;
            matrix[i * dim + j] = if i == j {
                value.max(f64::MIN_POSITIVE).sqrt()
            } else {
                value / matrix[j * dim + j]
            };
        }
    }
    // Column j of L⁻¹ solves L·y = e_j; it becomes row j of L⁻ᵀ.
    let mut transposed_inverse = vec![0.0; dim * dim];
    let mut solution = vec![0.0; dim];
    for j in 0..dim {
        for i in j..dim {
            let known = dot(&matrix[i * dim + j..i * dim + i], &solution[j..i]);
            let right = if i == j { 1.0 } else { 0.0 };
            solution[i] = (right - known) / matrix[i * dim + i];
            transposed_inverse[j * dim + i] = solution[i] as f32;
        }
    }
    transposed_inverse
}

/// A `[dim, dim]` matrix times a `[dim, SKETCH]` one.
fn product(left: &[f32], right: &[f32], dim: usize) -> Vec<f32> {
    let mut out = vec![0.0; dim * SKETCH];
    for (row, out) in left.chunks_exact(dim).zip(out.chunks_exact_mut(SKETCH)) {
        for (value, right) in row.iter().zip(right.chunks_exact(SKETCH)) {
            out.iter_mut()
                .zip(right)
                .for_each(|(out, right)| *out += value * right);
        }
    }
    out
}

/// In four partial sums, which the compiler makes SIMD code of.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_wide, a_rest) = a.as_chunks::<4>();
    let (b_wide, b_rest) = b.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (a, b) in a_wide.iter().zip(b_wide) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitening_inverts_the_matrix_that_it_was_made_of() {
        let matrix = [4.0, 2.0, 0.6, 2.0, 5.0, 1.0, 0.6, 1.0, 3.0];
        let whitening = inverse_of_cholesky(&mut matrix.clone(), 3);
        // L⁻ᵀ·L⁻¹ is the inverse, so matrix · L⁻ᵀ · L⁻¹ is the identity.
        for i in 0..3 {
            for j in 0..3 {
                let inverse = |k: usize, j: usize| -> f64 {
                    (0..3)
                        .map(|l| f64::from(whitening[k * 3 + l]) * f64::from(whitening[j * 3 + l]))
                        .sum()
                };
                let value: f64 = (0..3).map(|k| matrix[i * 3 + k] * inverse(k, j)).sum();
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((value - expected).abs() < 1e-6, "{i},{j}: {value}");
            }
        }
    }

    #[test]
    fn a_gram_matrix_holds_the_products_of_the_rows() {
        let gram = gram(&[1.0, 2.0, 3.0, 0.0, 1.0, 5.0], 2);
        assert_eq!(gram, [14.0, 17.0, 17.0, 26.0]);
    }
}
