//! A sentence out of the tokens of several (DAGER's second step for encoders, Petrov et al. 2024,
//! section 5): the hidden states that a true sentence gives the second block lie in the span of
//! that block's gradient. From several starts, one place after the other takes the token that
//! brings all hidden states nearest.

use choir_shared::sim::random::Stream;

use super::AttackError;
use super::cell::Ground;
use super::observation::Observation;
use super::span::{EXACT, Span};

/// Distance below which a token counts as shown by the first block.
const SHOWN: f64 = 1e-3;
/// Tokens of one place that are tried.
const MOST: usize = 24;
const STARTS: usize = 4;
const SWEEPS: usize = 4;
/// Mean distance at which a sentence counts as found.
const FOUND: f64 = 1e-3;

/// The inner tokens of the best sentence; `usual` is one of the starts.
///
/// `distances` are those of the prior's tokens at each inner place.
pub(super) fn search(
    ground: &mut Ground<'_>,
    observation: &Observation,
    clients: usize,
    distances: &[Vec<f64>],
    usual: &[u32],
    stream: &mut Stream,
) -> Result<Vec<u32>, AttackError> {
    let shown: Vec<Vec<u32>> = distances
        .iter()
        .map(|distances| candidates(distances, &ground.prior.tokens, clients))
        .collect();
    if usual.len() != shown.len() {
        return Ok(usual.to_vec());
    }
    let span = Span::of_second(observation, &mut ground.network, EXACT)?;
    let mut best = (f64::INFINITY, usual.to_vec());
    for start in 0..STARTS {
        let mut sentence: Vec<u32> = match start {
            0 => usual.to_vec(),
            _ => shown
                .iter()
                .map(|tokens| tokens[stream.below(tokens.len())])
                .collect(),
        };
        let mut left = f64::INFINITY;
        for _ in 0..SWEEPS {
            let before = sentence.clone();
            let mut places: Vec<usize> = (0..shown.len()).collect();
            stream.shuffle(&mut places);
            for place in places {
                left = improve(ground, &span, &mut sentence, place, &shown[place])?;
            }
            if sentence == before {
                break;
            }
        }
        if left < best.0 {
            best = (left, sentence);
        }
        if best.0 < FOUND {
            break;
        }
    }
    Ok(best.1)
}

/// Puts the best token at one place, and yields the mean distance that is left.
fn improve(
    ground: &mut Ground<'_>,
    span: &Span,
    sentence: &mut [u32],
    place: usize,
    tokens: &[u32],
) -> Result<f64, AttackError> {
    let length = sentence.len() + 2;
    let mut embeddings = Vec::new();
    for &token in tokens {
        sentence[place] = token;
        let whole = [&ground.ends[..1], sentence, &ground.ends[1..]].concat();
        embeddings.extend(ground.base.embeddings(&whole));
    }
    let inputs = ground.network.second_inputs(&embeddings, length)?;
    let distances = span.of_rows(&mut ground.network, &inputs)?;
    let means = distances
        .chunks_exact(length)
        .map(|distances| distances.iter().sum::<f64>() / length as f64);
    let best = means.zip(tokens).min_by(|a, b| a.0.total_cmp(&b.0));
    let (left, &token) =
        best.ok_or_else(|| AttackError::Data("no token for a place".to_owned()))?;
    sentence[place] = token;
    Ok(left)
}

/// The tokens that the first block shows at one place. Where those are none or too many, the
/// nearest: twice as many as there are clients.
fn candidates(distances: &[f64], tokens: &[u32], clients: usize) -> Vec<u32> {
    let mut order: Vec<usize> = (0..tokens.len()).collect();
    order.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
    let shown = order
        .iter()
        .filter(|index| distances[**index] < SHOWN)
        .count();
    let count = match shown {
        1..=MOST => shown,
        _ => (2 * clients).min(MOST),
    };
    let nearest = order.into_iter().take(count);
    nearest.map(|index| tokens[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_the_tokens_shown_or_else_the_nearest() {
        let tokens = [1, 2, 3, 4];
        assert_eq!(candidates(&[0.5, 1e-6, 0.9, 1e-5], &tokens, 1), [2, 4]);
        assert_eq!(candidates(&[0.5, 0.2, 0.9, 0.4], &tokens, 1), [2, 4]);
    }
}
