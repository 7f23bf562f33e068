//! The next token: greedy, or drawn from what temperature, top-k (Fan et al. 2018) and top-p
//! (nucleus sampling, Holtzman et al. 2020) leave, after the repetition penalty of CTRL (Keskar et
//! al. 2019). The order is that of Hugging Face's `generate`: penalty, temperature, top-k, top-p.
//!
//! A seed decides every draw: the same logits give the same tokens on every machine, as far as
//! its `exp` rounds alike.

mod stop;

use std::cmp::Ordering;

use super::draws::Draws;

pub use stop::{Released, StopStrings};

/// What can be wrong with how tokens are to be chosen, or with logits.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplingError {
    /// Not a temperature.
    #[error("temperature is {0}, not 0 (greedy) or a positive number")]
    Temperature(f32),
    /// No token would be left.
    #[error("top_k is 0; it is the number of tokens that are kept, or none is given")]
    TopK,
    /// Not a probability.
    #[error("top_p is {0}, not above 0 and at most 1 (all tokens)")]
    TopP(f32),
    /// Not a penalty.
    #[error("repetition_penalty is {0}, not a positive number (1 is none)")]
    RepetitionPenalty(f32),
    /// A stop string that is in every text.
    #[error("a stop string is empty")]
    EmptyStopString,
    /// The model gave no finite logit, or one that is no number or infinite.
    #[error("the model's logits are not numbers from which a token can be chosen")]
    Logits,
}

/// How the next token is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f32,
    /// Only that many of the likeliest tokens are kept.
    pub top_k: Option<usize>,
    /// Of those, only the likeliest that have this probability together; 1 keeps all.
    pub top_p: f32,
    /// Divides positive logits of tokens that were there, multiplies negative ones; 1 is none.
    pub repetition_penalty: f32,
    /// Decides every draw.
    pub seed: u64,
}

impl Default for Sampling {
    /// Greedy, without a penalty.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: None,
            top_p: 1.0,
            repetition_penalty: 1.0,
            seed: 0,
        }
    }
}

impl Sampling {
    /// # Errors
    /// [`SamplingError`] with the value that is out of range.
    pub fn check(&self) -> Result<(), SamplingError> {
        let positive = |value: f32| value.is_finite() && value > 0.0;
        if !positive(self.temperature) && self.temperature != 0.0 {
            return Err(SamplingError::Temperature(self.temperature));
        }
        if self.top_k == Some(0) {
            return Err(SamplingError::TopK);
        }
        if !positive(self.top_p) || self.top_p > 1.0 {
            return Err(SamplingError::TopP(self.top_p));
        }
        if !positive(self.repetition_penalty) {
            return Err(SamplingError::RepetitionPenalty(self.repetition_penalty));
        }
        Ok(())
    }
}

/// Chooses one token after the other.
#[derive(Debug)]
pub struct Sampler {
    sampling: Sampling,
    draws: Draws,
}

impl Sampler {
    /// # Errors
    /// As [`Sampling::check`].
    pub fn new(sampling: Sampling) -> Result<Self, SamplingError> {
        sampling.check()?;
        let draws = Draws::new("choir/next-token", sampling.seed);
        Ok(Self { sampling, draws })
    }

    /// The token after `past`, by the model's logits, one for each token of the vocabulary. A
    /// logit of −∞ excludes its token. Of equally likely tokens, greedy choice takes the first.
    ///
    /// # Errors
    /// [`SamplingError::Logits`]; nothing was drawn then.
    pub fn next(&mut self, logits: &[f32], past: &[u32]) -> Result<u32, SamplingError> {
        if logits.iter().any(|l| l.is_nan() || *l == f32::INFINITY) {
            return Err(SamplingError::Logits);
        }
        let mut candidates = candidates(&self.penalised(logits, past));
        let best = candidates.iter().min_by(|a, b| a.rank(b));
        let best = *best.ok_or(SamplingError::Logits)?;
        if self.sampling.temperature == 0.0 {
            return Ok(best.token);
        }
        for candidate in &mut candidates {
            candidate.weight = self.weight(candidate.logit - best.logit);
        }
        keep_top_k(&mut candidates, self.sampling.top_k);
        keep_top_p(&mut candidates, self.sampling.top_p);
        Ok(self.draw(&candidates).unwrap_or(best.token))
    }

    /// A token that was there often is penalised once.
    fn penalised(&self, logits: &[f32], past: &[u32]) -> Vec<f64> {
        let mut penalised: Vec<f64> = logits.iter().map(|logit| f64::from(*logit)).collect();
        let penalty = f64::from(self.sampling.repetition_penalty);
        for &token in past {
            let token = token as usize;
            if let (Some(&logit), Some(new)) = (logits.get(token), penalised.get_mut(token)) {
                let logit = f64::from(logit);
                *new = if logit > 0.0 {
                    logit / penalty
                } else {
                    logit * penalty
                };
            }
        }
        penalised
    }

    /// Proportional to the probability; 1 for the likeliest, so that nothing overflows.
    fn weight(&self, below_best: f64) -> f64 {
        (below_best / f64::from(self.sampling.temperature)).exp()
    }

    fn draw(&mut self, candidates: &[Candidate]) -> Option<u32> {
        let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
        let mut left = self.draws.unit() * total;
        for candidate in candidates {
            left -= candidate.weight;
            if left < 0.0 {
                return Some(candidate.token);
            }
        }
        // Rounding may leave a trace.
        candidates.last().map(|candidate| candidate.token)
    }
}

/// A token that may be chosen.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    token: u32,
    logit: f64,
    weight: f64,
}

impl Candidate {
    /// The likeliest first, of equals the one with the lowest number.
    fn rank(&self, other: &Self) -> Ordering {
        // Adding 0 makes −0 equal to 0.
        (other.logit + 0.0)
            .total_cmp(&(self.logit + 0.0))
            .then(self.token.cmp(&other.token))
    }
}

fn candidates(logits: &[f64]) -> Vec<Candidate> {
    let candidate = |(token, &logit): (usize, &f64)| Candidate {
        token: token as u32,
        logit,
        weight: 0.0,
    };
    logits
        .iter()
        .enumerate()
        .filter(|(_, logit)| **logit > f64::NEG_INFINITY)
        .map(candidate)
        .collect()
}

fn keep_top_k(candidates: &mut Vec<Candidate>, top_k: Option<usize>) {
    if let Some(top_k) = top_k.filter(|top_k| *top_k < candidates.len()) {
        candidates.select_nth_unstable_by(top_k, Candidate::rank);
        candidates.truncate(top_k);
        // What the selection leaves has no order of its own to reproduce.
        candidates.sort_unstable_by(Candidate::rank);
    }
}

/// Keeps the smallest set of the likeliest with a probability of at least `top_p`.
fn keep_top_p(candidates: &mut Vec<Candidate>, top_p: f32) {
    if top_p >= 1.0 {
        return;
    }
    candidates.sort_unstable_by(Candidate::rank);
    let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
    let mut left = f64::from(top_p) * total;
    let kept = candidates.iter().position(|candidate| {
        left -= candidate.weight;
        left <= 0.0
    });
    if let Some(last) = kept {
        candidates.truncate(last + 1);
    }
}

#[cfg(test)]
mod tests;
