//! Noise is what it says it is: its moments, its tails, its law, its sums, and that nothing repeats.
//! Every statistic is also shown something wrong, which it must notice.

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::noise::{MAX_VARIANCE, Noise};

#[path = "support/skellam.rs"]
mod skellam;

use skellam::{LIMIT, chi_square, correlation, moments, samples, tail};

const MILLION: usize = 1 << 20;

/// On either side of where the library changes its way, at a mean of 12; about one client's share at
/// 2^12 steps and `z = 1`; at 2^14 steps and `z = 4`.
const VARIANCES: [f64; 8] = [0.02, 0.5, 3.0, 23.9, 24.1, 1_000.0, 364_722.0, 9.3e7];

#[test]
fn mean_variance_skew_and_kurtosis_are_those_of_the_law() {
    for (seed, variance) in (100..).zip(VARIANCES) {
        let samples = samples(variance, MILLION, seed);
        let off = moments(&samples, variance);
        assert!(
            off.iter().all(|off| off.abs() < LIMIT),
            "{variance}: {off:?}"
        );
        // Five in a hundred more variance is noticed, and so is as much less.
        for wrong in [1.05, 0.95] {
            let off = moments(&samples, wrong * variance);
            assert!(off[1].abs() > LIMIT, "{variance}: {off:?}");
        }
    }
}

#[test]
fn moments_that_are_wrong_are_noticed() {
    let sound = samples(3.0, MILLION, 7);
    let off = |change: fn(i64) -> i64| {
        let changed: Vec<i64> = sound.iter().map(|&x| change(x)).collect();
        moments(&changed, 3.0)
    };
    // Without what lies below minus three: mean and skew. Two in place of three: kurtosis too.
    assert!(off(|x| x.max(-3))[0] > LIMIT);
    assert!(off(|x| x.max(-3))[2] > LIMIT);
    assert!(off(|x| x.clamp(-6, 6))[3] < -LIMIT);
}

#[test]
fn tails_are_as_heavy_as_the_law_says() {
    for (seed, variance) in (200..).zip([0.5, 3.0, 24.1, 364_722.0]) {
        let samples = samples(variance, 4 * MILLION, seed);
        let off = |reach: i64, claimed: f64| {
            let count = samples.len() as f64;
            let probability = tail(claimed, reach);
            let found = samples.iter().filter(|x| x.abs() >= reach).count() as f64;
            (found - count * probability) / (count * probability * (1.0 - probability)).sqrt()
        };
        for deviations in [2.0, 3.0, 4.0, 4.5] {
            let reach = (deviations * variance.sqrt()).ceil() as i64;
            assert!(
                off(reach, variance).abs() < LIMIT,
                "{variance} beyond {reach}"
            );
        }
        let reach = (3.0 * variance.sqrt()).ceil() as i64;
        for wrong in [1.05, 0.95] {
            assert!(off(reach, wrong * variance).abs() > LIMIT, "{variance}");
        }
    }
}

#[test]
fn a_normal_tail_would_be_noticed_where_the_law_is_not_normal() {
    // Beyond three steps, four deviations, Skellam's law of variance 1/2 has eight times a normal's.
    let samples = samples(0.5, 4 * MILLION, 33);
    let found = samples.iter().filter(|x| x.abs() >= 3).count() as f64;
    let normal = 4.0 * MILLION as f64 * libm::erfc(2.5);
    assert!((found - normal) / normal.sqrt() > 50.0, "{found} {normal}");
}

#[test]
fn small_noise_has_every_outcome_as_often_as_the_law_says() {
    for (seed, variance) in (300..).zip([0.02, 0.5, 3.0, 16.0, 23.9, 24.1, 60.0]) {
        let samples = samples(variance, 2 * MILLION, seed);
        let off = chi_square(&samples, variance);
        assert!(off < LIMIT, "{variance}: {off}");
        for wrong in [1.05, 0.95] {
            assert!(chi_square(&samples, wrong * variance) > LIMIT, "{variance}");
        }
    }
}

#[test]
fn the_noise_of_many_clients_adds_up_to_noise_of_the_summed_variance() {
    for (seed, variance, clients) in [(400, 0.5, 5), (410, 2.5, 10), (430, 24.1, 8)] {
        let mut sum = vec![0; MILLION];
        for client in 0..clients {
            let share = samples(variance, MILLION, seed * 100 + client);
            sum.iter_mut().zip(share).for_each(|(sum, x)| *sum += x);
        }
        let total = clients as f64 * variance;
        assert!(chi_square(&sum, total) < LIMIT, "{clients}");
        let off = moments(&sum, total);
        assert!(
            off.iter().all(|off| off.abs() < LIMIT),
            "{clients}: {off:?}"
        );
        assert!(chi_square(&sum, 1.05 * total) > LIMIT);
        // One client's noise many times over has the right mean, and nothing else.
        let repeated: Vec<i64> = samples(variance, MILLION, seed)
            .into_iter()
            .map(|x| clients as i64 * x)
            .collect();
        assert!(chi_square(&repeated, total) > LIMIT);
    }
}

#[test]
fn neither_neighbouring_coordinates_nor_clients_have_anything_in_common() {
    for (seed, variance) in [(500, 0.5), (510, 364_722.0)] {
        let first = samples(variance, MILLION, seed);
        let second = samples(variance, MILLION, seed + 1);
        for lag in [1, 2, 16, 64] {
            assert!(
                correlation(&first[lag..], &first).abs() < LIMIT,
                "lag {lag}"
            );
        }
        assert!(correlation(&first, &second).abs() < LIMIT);
        // A stream that says everything twice, and two clients that draw from one seed.
        let twice: Vec<i64> = first.iter().flat_map(|&x| [x, x]).collect();
        assert!(correlation(&twice[1..], &twice) > LIMIT);
        assert!(correlation(&first, &samples(variance, MILLION, seed)) > LIMIT);
    }
}

#[test]
fn two_streams_from_one_source_differ() {
    let mut entropy = InsecureSeededEntropy::new(1);
    let mut next = || {
        let mut noise = Noise::new(1e6, &mut entropy).expect("a variance");
        [(); 4].map(|()| noise.sample())
    };
    assert_ne!(next(), next());
}

#[test]
fn noise_of_no_variance_is_zero_and_of_no_number_there_is_none() {
    assert_eq!(samples(0.0, 100, 1), [0; 100]);
    // The smallest variances are those of a Poisson variable that never happens.
    assert_eq!(samples(f64::MIN_POSITIVE, 100, 1), [0; 100]);
    let noise = |variance| Noise::new(variance, &mut InsecureSeededEntropy::new(1)).is_some();
    assert!(noise(MAX_VARIANCE));
    for bad in [-1.0, f64::NAN, f64::INFINITY, 1.001 * MAX_VARIANCE] {
        assert!(!noise(bad), "{bad}");
    }
}

#[test]
fn the_largest_noise_has_the_variance_it_should_have() {
    let samples = samples(MAX_VARIANCE, MILLION, 600);
    let off = moments(&samples, MAX_VARIANCE);
    assert!(off.iter().all(|off| off.abs() < LIMIT), "{off:?}");
    // Rounding leaves every residue as likely as another.
    let odd = samples.iter().filter(|x| x.rem_euclid(2) == 1).count() as f64;
    let half = MILLION as f64 / 2.0;
    assert!((odd - half).abs() < LIMIT * (half / 2.0).sqrt(), "{odd}");
}
