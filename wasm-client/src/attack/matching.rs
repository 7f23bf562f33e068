//! Gradient matching (DLG, Zhu et al. 2019; TAG, Deng et al. 2021; LAMP, Balunović et al. 2022):
//! embeddings are moved until their gradient points where the observed one does, then each place
//! takes the nearest token, and single tokens and pairs are exchanged where that comes closer.
//!
//! Moving them takes a second derivative. The engines have only the first, so it is taken as a
//! difference: with `D` the distance of gradients and `v = ∂D/∂g` held fixed,
//! `∂D/∂x = ∂²L/∂x∂θ · v ≈ (∂L/∂x at θ + εv - ∂L/∂x at θ - εv) / 2ε`.

use choir_shared::sim::random::Stream;

use super::AttackError;
use super::network::{Network, Part};
use super::weights::BaseWeights;

/// Length of `εv`.
const STEP: f64 = 0.02;
/// Random sentences of which the best is started from.
const STARTS: usize = 8;
/// Nearest tokens that are tried at each place in the end.
const NEAREST: usize = 3;

/// How long to search, and how far each step goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// Steps of Adam.
    pub(super) steps: usize,
    /// Its step size at the start; it falls to zero.
    pub(super) learning_rate: f64,
}

/// The text under attack: its gradient, and what the attacker knows beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    /// The observed gradient of the network's trained tensors.
    pub(super) gradient: &'a [f32],
    /// First and last token.
    pub(super) ends: [u32; 2],
    /// Number of tokens.
    pub(super) length: usize,
    /// Its class: the one place where the head's bias has a negative gradient.
    pub(super) label: u32,
}

/// Tokens of the text, ends included, and the distance that is left.
pub(super) fn reconstruct(
    network: &mut Network,
    base: &BaseWeights,
    target: Target<'_>,
    search: Search,
    stream: &mut Stream,
) -> Result<(Vec<u32>, f64), AttackError> {
    let theta = network.weights().to_vec();
    let mut problem = Problem {
        network,
        base,
        target,
        theta,
    };
    let mut embeddings = problem.start(stream)?;
    problem.descend(&mut embeddings, search)?;
    let nearest = problem.nearest(&embeddings);
    problem.refine(&nearest)
}

struct Problem<'a> {
    network: &'a mut Network,
    base: &'a BaseWeights,
    target: Target<'a>,
    theta: Vec<f32>,
}

impl Problem<'_> {
    fn dim(&self) -> usize {
        self.base.shape().dim as usize
    }

    /// The best of some random sentences.
    fn start(&mut self, stream: &mut Stream) -> Result<Vec<f32>, AttackError> {
        let vocabulary = self.base.shape().vocabulary as usize;
        let mut best = (f64::INFINITY, Vec::new());
        for _ in 0..STARTS {
            let mut tokens: Vec<u32> = (0..self.target.length)
                .map(|_| stream.below(vocabulary) as u32)
                .collect();
            let last = tokens.len() - 1;
            (tokens[0], tokens[last]) = (self.target.ends[0], self.target.ends[1]);
            let embeddings = self.base.embeddings(&tokens);
            let distance = self.distance(&embeddings)?;
            if distance < best.0 {
                best = (distance, embeddings);
            }
        }
        Ok(best.1)
    }

    fn distance(&mut self, embeddings: &[f32]) -> Result<f64, AttackError> {
        let label = self.target.label;
        let gradient = self.network.gradient(&self.theta, embeddings, label)?;
        Ok(distance(
            self.network.parts(),
            &gradient.weights,
            self.target.gradient,
            None,
        ))
    }

    /// `∂D/∂x`, and `D`.
    fn slope(&mut self, embeddings: &[f32]) -> Result<(Vec<f32>, f64), AttackError> {
        let label = self.target.label;
        let gradient = self.network.gradient(&self.theta, embeddings, label)?;
        let mut direction = vec![0.0; self.theta.len()];
        let value = distance(
            self.network.parts(),
            &gradient.weights,
            self.target.gradient,
            Some(&mut direction),
        );
        let epsilon = STEP / super::observation::norm(&direction).max(f64::MIN_POSITIVE);
        let mut at = |sign: f64| -> Result<Vec<f32>, AttackError> {
            let moved: Vec<f32> = self
                .theta
                .iter()
                .zip(&direction)
                .map(|(theta, v)| theta + (sign * epsilon) as f32 * v)
                .collect();
            Ok(self.network.gradient(&moved, embeddings, label)?.embeddings)
        };
        let (above, below) = (at(1.0)?, at(-1.0)?);
        let slope = above
            .iter()
            .zip(&below)
            .map(|(above, below)| {
                ((f64::from(*above) - f64::from(*below)) / (2.0 * epsilon)) as f32
            })
            .collect();
        Ok((slope, value))
    }

    /// Adam on the rows between the ends; keeps the closest that was seen.
    fn descend(&mut self, embeddings: &mut Vec<f32>, search: Search) -> Result<(), AttackError> {
        let inner = self.dim()..embeddings.len() - self.dim();
        let mut moments = vec![(0.0f64, 0.0f64); embeddings.len()];
        let mut best = (f64::INFINITY, embeddings.clone());
        for step in 0..search.steps {
            let (slope, value) = self.slope(embeddings)?;
            if value < best.0 {
                best = (value, embeddings.clone());
            }
            let rate = search.learning_rate * (1.0 - step as f64 / search.steps as f64);
            let count = (step + 1) as i32;
            for index in inner.clone() {
                let slope = f64::from(slope[index]);
                let (first, second) = &mut moments[index];
                *first = 0.9 * *first + 0.1 * slope;
                *second = 0.999 * *second + 0.001 * slope * slope;
                let mean = *first / (1.0 - 0.9f64.powi(count));
                let spread = (*second / (1.0 - 0.999f64.powi(count))).sqrt();
                embeddings[index] -= (rate * mean / (spread + 1e-12)) as f32;
            }
        }
        *embeddings = best.1;
        Ok(())
    }

    /// The tokens nearest to each row, by the cosine of what the first block would read.
    fn nearest(&self, embeddings: &[f32]) -> Vec<Vec<u32>> {
        let dim = self.dim();
        let vocabulary: Vec<u32> = (0..self.base.shape().vocabulary).collect();
        let last = self.target.length - 1;
        let rows = embeddings.chunks_exact(dim).enumerate();
        rows.map(|(position, row)| {
            if position == 0 || position == last {
                return vec![self.target.ends[usize::from(position == last)]];
            }
            let mut row = row.to_vec();
            self.base.normalize(&mut row);
            let inputs = self.base.first_inputs(&vocabulary, position);
            let mut scored: Vec<(f32, u32)> = inputs
                .chunks_exact(dim)
                .map(|input| cosine(input, &row))
                .zip(vocabulary.iter().copied())
                .collect();
            scored.sort_by(|a, b| b.0.total_cmp(&a.0));
            scored
                .into_iter()
                .take(NEAREST)
                .map(|(_, token)| token)
                .collect()
        })
        .collect()
    }

    /// Other near tokens, then exchanged pairs, each kept where the gradients come closer.
    fn refine(&mut self, nearest: &[Vec<u32>]) -> Result<(Vec<u32>, f64), AttackError> {
        let mut tokens: Vec<u32> = nearest.iter().map(|near| near[0]).collect();
        let mut best = self.distance(&self.base.embeddings(&tokens))?;
        for (place, near) in nearest.iter().enumerate() {
            for &token in near {
                let kept = core::mem::replace(&mut tokens[place], token);
                let found = self.distance(&self.base.embeddings(&tokens))?;
                if found < best {
                    best = found;
                } else {
                    tokens[place] = kept;
                }
            }
        }
        for first in 1..tokens.len() - 1 {
            for second in first + 1..tokens.len() - 1 {
                tokens.swap(first, second);
                let found = self.distance(&self.base.embeddings(&tokens))?;
                if found < best {
                    best = found;
                } else {
                    tokens.swap(first, second);
                }
            }
        }
        Ok((tokens, best))
    }
}

/// Sum over the tensors of one minus the cosine of their gradients (LAMP's distance), and its
/// derivative by the first.
fn distance(
    parts: &[Part],
    gradient: &[f32],
    target: &[f32],
    mut derivative: Option<&mut Vec<f32>>,
) -> f64 {
    let mut total = 0.0;
    for part in parts {
        let range = part.parameter.range.clone();
        let (g, t) = (&gradient[range.clone()], &target[range.clone()]);
        let (mut product, mut g_length, mut t_length) = (0.0, 0.0, 0.0);
        for (g, t) in g.iter().zip(t) {
            let (g, t) = (f64::from(*g), f64::from(*t));
            product += g * t;
            g_length += g * g;
            t_length += t * t;
        }
        let (g_length, t_length) = (g_length.sqrt(), t_length.sqrt());
        // The keys' bias has no gradient but rounding: softmax does not see it.
        if t_length < 1e-6 || g_length < 1e-12 {
            continue;
        }
        let cosine = product / (g_length * t_length);
        total += 1.0 - cosine;
        if let Some(derivative) = derivative.as_deref_mut() {
            let by_target = 1.0 / (g_length * t_length);
            let by_itself = cosine / (g_length * g_length);
            for ((d, g), t) in derivative[range].iter_mut().zip(g).zip(t) {
                *d = (by_itself * f64::from(*g) - by_target * f64::from(*t)) as f32;
            }
        }
    }
    total
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let (mut product, mut a_length, mut b_length) = (0.0f32, 0.0f32, 0.0f32);
    for (a, b) in a.iter().zip(b) {
        product += a * b;
        a_length += a * a;
        b_length += b * b;
    }
    product / (a_length * b_length).sqrt().max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests;
