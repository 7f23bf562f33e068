//! Direct preference optimisation (Rafailov et al. 2023): the loss of a pair of answers, its
//! derivatives, and what is reported of a model that was trained by it.
//!
//! A log-probability here is the sum over an answer's tokens, given the prompt. The reference is
//! the model without its adapter.

use super::comparisons::Comparisons;

/// What the model and its reference say of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// Log-probability by the model, in nats.
    pub policy: f64,
    /// Log-probability by the reference, in nats.
    pub reference: f64,
    /// Number of the answer's tokens.
    pub tokens: usize,
}

/// A pair of answers to a prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The preferred one.
    pub chosen: Answer,
    /// The other.
    pub rejected: Answer,
}

/// The loss of a pair with its derivatives by the model's log-probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// Equation 7.
    pub value: f64,
    /// By that of the chosen answer; never positive.
    pub by_chosen: f64,
    /// By that of the rejected answer; the same with the other sign.
    pub by_rejected: f64,
}

impl Answer {
    /// What the loss takes for the answer's reward, up to a term of the prompt:
    /// `beta · (ln p − ln p_reference)`.
    pub fn reward(&self, beta: f64) -> f64 {
        beta * (self.policy - self.reference)
    }

    fn per_token(&self, value: f64) -> f64 {
        value / self.tokens as f64
    }
}

impl Pair {
    /// By how much the chosen answer's reward is above the rejected one's.
    pub fn margin(&self, beta: f64) -> f64 {
        self.chosen.reward(beta) - self.rejected.reward(beta)
    }

    /// −ln σ of the margin.
    pub fn loss(&self, beta: f64) -> Loss {
        let margin = self.margin(beta);
        let slope = beta * sigmoid(-margin);
        Loss {
            value: -log_sigmoid(margin),
            by_chosen: -slope,
            by_rejected: slope,
        }
    }
}

/// ln σ(x), without overflow and without loss where σ is near 0 or 1.
pub fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    log_sigmoid(x).exp()
}

/// The mean of the pairs' losses; none without a pair.
pub fn mean_loss(pairs: &[Pair], beta: f64) -> Option<f64> {
    let sum: f64 = pairs.iter().map(|pair| pair.loss(beta).value).sum();
    (!pairs.is_empty()).then(|| sum / pairs.len() as f64)
}

/// By what the answers of a pair are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// The reward: what the loss compares. All are tied where model and reference are the same.
    Reward,
    /// The reward divided by the answer's tokens: a long answer has no advantage of its length.
    RewardPerToken,
    /// The model's log-probability per token, without a reference: also says something of a model
    /// that was not trained.
    LikelihoodPerToken,
}

/// How often the chosen answer scores more than the rejected one. An answer without tokens has no
/// score per token: wrong.
pub fn comparisons<'a>(pairs: impl IntoIterator<Item = &'a Pair>, by: Score) -> Comparisons {
    // The sign of a reward's difference is that for any positive beta.
    let score = |answer: &Answer| match by {
        Score::Reward => answer.reward(1.0),
        Score::RewardPerToken => answer.per_token(answer.reward(1.0)),
        Score::LikelihoodPerToken => answer.per_token(answer.policy),
    };
    let outcome = |pair: &Pair| {
        let scores = [score(&pair.chosen), score(&pair.rejected)];
        scores
            .iter()
            .all(|score| score.is_finite())
            .then(|| scores[0].partial_cmp(&scores[1]))?
    };
    Comparisons::of(pairs.into_iter().map(outcome))
}

/// Estimate of the Kullback-Leibler divergence of the model from its reference in nats per token,
/// from the log-probabilities by both of tokens **that the model drew**: the mean of
/// `r − 1 − ln r` with `r = p_reference / p` (Schulman 2020, "Approximating KL divergence", k3),
/// which is unbiased and never negative. On other texts it estimates nothing. None without tokens,
/// or if the two are not of the same tokens.
pub fn divergence_per_token(policy: &[f64], reference: &[f64]) -> Option<f64> {
    if policy.is_empty() || policy.len() != reference.len() {
        return None;
    }
    let terms = policy.iter().zip(reference).map(|(policy, reference)| {
        let log_ratio = reference - policy;
        log_ratio.exp_m1() - log_ratio
    });
    Some(terms.sum::<f64>() / policy.len() as f64)
}

#[cfg(test)]
mod tests;
