//! Answers that the trained model draws to prompts held out, by which its divergence from the
//! reference is estimated.

use super::fold::Fold;
use super::{Settings, data};
use crate::evals::progress::Progress;
use crate::evals::start::Student;
use crate::evals::{CpuEngine, CpuTensor, EvalError};
use crate::generate::Continuation;
use crate::language::llama2c::END;
use crate::language::sampling::{Sampler, Sampling};
use crate::model::Decoder;
use crate::model::decoder::DecoderAdapter;

/// Log-probabilities of drawn tokens.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    /// By the model that drew them.
    pub policy: Vec<f64>,
    /// By the reference.
    pub reference: Vec<f64>,
}

/// Draws an answer to each of the first prompts.
///
/// # Errors
/// [`EvalError`].
pub async fn draw(
    student: &mut Student,
    fold: &Fold<'_>,
    settings: &Settings,
    progress: &Progress<'_>,
) -> Result<Drawn, EvalError> {
    let policy = student.trainer.decoder().clone();
    let mut reference = policy.clone();
    reference.attach(DecoderAdapter::default());
    let mut sampler = Sampler::new(Sampling {
        temperature: 1.0,
        seed: fold.seed,
        ..Sampling::default()
    })?;
    let mut drawn = Drawn::default();
    for pair in fold.held_out.iter().take(settings.drawn_answers) {
        let mut tokens = data::prompt(pair, settings, &student.tokenizer);
        let given = tokens.len();
        let capacity = given + settings.drawn_tokens;
        let engine = student.trainer.engine_mut();
        let mut continuation = Continuation::new(engine, &policy, capacity)?;
        let mut unread = 0;
        while tokens.len() < capacity && tokens.last() != Some(&END) {
            let logits = continuation
                .read(engine, &policy, &tokens[unread..])
                .await?;
            unread = tokens.len();
            let token = sampler.next(&logits, &tokens)?;
            drawn.policy.push(log_probability(&logits, token));
            tokens.push(token);
        }
        let said = log_probabilities(engine, &reference, &tokens, given).await?;
        drawn.reference.extend(said);
        progress.work();
    }
    Ok(drawn)
}

/// Of all tokens but the first `given`.
async fn log_probabilities(
    engine: &mut CpuEngine,
    decoder: &Decoder<CpuTensor>,
    tokens: &[u32],
    given: usize,
) -> Result<Vec<f64>, EvalError> {
    let mut continuation = Continuation::new(engine, decoder, tokens.len())?;
    let mut found = Vec::new();
    let mut unread = 0;
    for place in given..tokens.len() {
        let logits = continuation
            .read(engine, decoder, &tokens[unread..place])
            .await?;
        unread = place;
        found.push(log_probability(&logits, tokens[place]));
    }
    Ok(found)
}

fn log_probability(logits: &[f32], token: u32) -> f64 {
    let own = logits
        .get(token as usize)
        .copied()
        .map_or(f64::NAN, f64::from);
    own - log_sum_exp(logits)
}

/// ln Σ exp, without overflow.
fn log_sum_exp(logits: &[f32]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let largest = f64::from(largest);
    let sum: f64 = logits.iter().map(|l| (f64::from(*l) - largest).exp()).sum();
    largest + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one() {
        let logits = [1000.0, 998.5, 990.0];
        let sum: f64 = (0..3).map(|t| log_probability(&logits, t).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        assert!(log_probability(&logits, 3).is_nan());
    }
}
