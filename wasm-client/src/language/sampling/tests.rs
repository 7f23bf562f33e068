//! Counts of draws against their probabilities, and single choices by hand.

use super::*;

fn drawn(sampling: Sampling, logits: &[f32], past: &[u32], count: usize) -> Vec<usize> {
    let mut sampler = Sampler::new(sampling).unwrap();
    let mut counts = vec![0; logits.len()];
    for _ in 0..count {
        counts[sampler.next(logits, past).unwrap() as usize] += 1;
    }
    counts
}

/// Pearson's statistic of counts against probabilities; a token of probability 0 that was drawn
/// makes it infinite.
fn chi_square(counts: &[usize], probabilities: &[f64]) -> f64 {
    let total: usize = counts.iter().sum();
    let term = |(&count, &probability): (&usize, &f64)| {
        let expected = probability * total as f64;
        let distance = count as f64 - expected;
        if distance == 0.0 {
            0.0
        } else {
            distance * distance / expected
        }
    };
    counts.iter().zip(probabilities).map(term).sum()
}

fn logits_of(probabilities: &[f64]) -> Vec<f32> {
    probabilities.iter().map(|p| p.ln() as f32).collect()
}

const PROBABILITIES: [f64; 5] = [0.4, 0.05, 0.3, 0.15, 0.1];
/// Exceeded once in 10,000 by chi-square of 4 degrees of freedom.
const BOUND: f64 = 23.5;
const DRAWS: usize = 20_000;

fn at(temperature: f32) -> Sampling {
    Sampling {
        temperature,
        seed: 7,
        ..Sampling::default()
    }
}

#[test]
fn tokens_are_drawn_with_their_probabilities() {
    let logits = logits_of(&PROBABILITIES);
    let counts = drawn(at(1.0), &logits, &[], DRAWS);
    assert!(chi_square(&counts, &PROBABILITIES) < BOUND, "{counts:?}");
    // The same counts are not those of slightly other probabilities.
    let other = [0.38, 0.05, 0.32, 0.15, 0.1];
    assert!(chi_square(&counts, &other) > BOUND, "{counts:?}");
    // Temperature ½ squares the probabilities.
    let squares = PROBABILITIES.map(|p| p * p / 0.285);
    let counts = drawn(at(0.5), &logits, &[], DRAWS);
    assert!(chi_square(&counts, &squares) < BOUND, "{counts:?}");
}

#[test]
fn top_k_keeps_the_likeliest() {
    let sampling = Sampling {
        top_k: Some(2),
        ..at(1.0)
    };
    let counts = drawn(sampling, &logits_of(&PROBABILITIES), &[], DRAWS);
    let expected = [4.0 / 7.0, 0.0, 3.0 / 7.0, 0.0, 0.0];
    assert!(chi_square(&counts, &expected) < BOUND, "{counts:?}");
}

#[test]
fn top_p_keeps_the_smallest_set_of_that_probability() {
    let logits = logits_of(&PROBABILITIES);
    let kept = |top_p, top_k| {
        let sampling = Sampling {
            top_p,
            top_k,
            ..at(1.0)
        };
        let counts = drawn(sampling, &logits, &[], 2_000);
        counts.iter().map(|count| *count > 0).collect::<Vec<_>>()
    };
    assert_eq!(kept(0.3, None), [true, false, false, false, false]);
    assert_eq!(kept(0.69, None), [true, false, true, false, false]);
    assert_eq!(kept(0.71, None), [true, false, true, true, false]);
    assert_eq!(kept(0.96, None), [true; 5]);
    // Of the two that top-k leaves, the first alone has 4/7.
    assert_eq!(kept(0.5, Some(2)), [true, false, false, false, false]);
}

#[test]
fn greedy_choice_takes_the_first_of_the_likeliest() {
    let mut sampler = Sampler::new(Sampling::default()).unwrap();
    assert_eq!(sampler.next(&[0.0, 2.0, 1.0, 2.0], &[]), Ok(1));
    assert_eq!(sampler.next(&[-0.0, 0.0], &[]), Ok(0));
    assert_eq!(sampler.next(&[f32::NEG_INFINITY, -3.0], &[]), Ok(1));
    // A temperature that is all but 0 overflows nowhere.
    let mut sampler = Sampler::new(at(1e-30)).unwrap();
    assert_eq!(sampler.next(&[1.0, 3e38, -3e38], &[]), Ok(1));
}

#[test]
fn the_penalty_divides_positive_and_multiplies_negative_logits_once() {
    let sampling = |repetition_penalty| Sampling {
        repetition_penalty,
        ..Sampling::default()
    };
    let next = |penalty, logits: &[f32], past: &[u32]| {
        Sampler::new(sampling(penalty)).unwrap().next(logits, past)
    };
    // 3 / 1.5 = 2 is below 2.5.
    assert_eq!(next(1.0, &[3.0, 2.5], &[0]), Ok(0));
    assert_eq!(next(1.5, &[3.0, 2.5], &[0]), Ok(1));
    // 3 / 1.1 is above 2.5, however often token 0 was there.
    assert_eq!(next(1.1, &[3.0, 2.5], &[0, 0, 0]), Ok(0));
    // −1 · 1.5 is below −1.2.
    assert_eq!(next(1.5, &[-1.0, -1.2], &[0]), Ok(1));
    // Virtual tokens and the like are in no vocabulary.
    assert_eq!(next(1.5, &[3.0, 2.5], &[9]), Ok(0));
}

#[test]
fn a_seed_decides_the_tokens() {
    let run = |seed| {
        let sampling = Sampling { seed, ..at(1.0) };
        let mut sampler = Sampler::new(sampling).unwrap();
        let logits = logits_of(&PROBABILITIES);
        (0..40)
            .map(|_| sampler.next(&logits, &[]).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn values_out_of_range_are_refused() {
    let check = |change: fn(&mut Sampling)| {
        let mut sampling = at(1.0);
        change(&mut sampling);
        sampling.check()
    };
    assert_eq!(check(|_| {}), Ok(()));
    assert_eq!(
        check(|s| s.temperature = -1.0),
        Err(SamplingError::Temperature(-1.0))
    );
    assert!(check(|s| s.temperature = f32::NAN).is_err());
    assert_eq!(check(|s| s.top_k = Some(0)), Err(SamplingError::TopK));
    assert_eq!(check(|s| s.top_p = 0.0), Err(SamplingError::TopP(0.0)));
    assert_eq!(check(|s| s.top_p = 1.5), Err(SamplingError::TopP(1.5)));
    assert_eq!(
        check(|s| s.repetition_penalty = 0.0),
        Err(SamplingError::RepetitionPenalty(0.0))
    );
    assert_eq!(
        SamplingError::TopP(1.5).to_string(),
        "top_p is 1.5, not above 0 and at most 1 (all tokens)"
    );
}

#[test]
fn logits_without_a_choice_are_refused() {
    let mut sampler = Sampler::new(at(1.0)).unwrap();
    for logits in [
        &[][..],
        &[f32::NEG_INFINITY],
        &[0.0, f32::NAN],
        &[f32::INFINITY, 0.0],
    ] {
        assert_eq!(sampler.next(logits, &[]), Err(SamplingError::Logits));
    }
}
