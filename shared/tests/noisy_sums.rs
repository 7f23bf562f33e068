//! Rounds with noise in their sum: what is published is the sum of the survivors' updates and of
//! their noise, which is what the task promises and more with every further survivor.

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::fixed_point;
use choir_shared::noise;
use choir_shared::policy::Policy;
use choir_shared::secure_sum::Ring;
use choir_shared::sim::{self, Close, Faults, Plan, Report, Step};
use choir_shared::task::{Dp, Quantiser, TaskConfig, TaskError};
use choir_shared::update::FrozenUpdate;
use proptest::prelude::*;

#[path = "support/skellam.rs"]
mod skellam;

use skellam::{LIMIT, moments};

/// 8 clients of whom one may be corrupt: a quorum of 5 holds 4 honest ones.
const HONEST: u16 = 4;

fn task(dim: u32) -> TaskConfig {
    let mut task = sim::head_task(8, 8, dim);
    task.quantiser = Quantiser {
        levels: 1 << 14,
        bound: 0.5,
        weight_max: 1,
    };
    task.dp = Dp {
        noise_multiplier: 0.05,
        clip: 1.0,
        honest: HONEST,
    };
    task
}

/// A round of 8 clients that all send `value` everywhere; the first so many close before UPLOAD.
fn run(task: &TaskConfig, value: f32, lost: usize) -> Report {
    let coordinates = 2 * task.base.shape.dim as usize + 2;
    let report = sim::run(Plan {
        seed: 90 + lost as u64,
        task: task.clone(),
        updates: vec![(vec![value; coordinates], 30); 8],
        policy: Policy::demo(),
        faults: Faults {
            closes: (0..lost)
                .map(|client| (client, Close::Before(Step::Upload)))
                .collect(),
            ..Faults::default()
        },
    });
    report.expect("a sound task")
}

/// The words of a sum as integers, the weight left out.
fn signed(sum: &[u32], ring: Ring) -> Vec<i64> {
    let modulus = i64::from(ring.mask()) + 1;
    let signed = |&word: &u32| (i64::from(word) + modulus / 4).rem_euclid(modulus) - modulus / 4;
    sum[..sum.len() - 1].iter().map(signed).collect()
}

#[test]
fn the_noise_of_a_sum_is_that_of_its_survivors_and_grows_with_them() {
    let task = task(50_000);
    let (dp, quantiser) = (&task.dp, &task.quantiser);
    let share = noise::share_variance(dp, quantiser);
    // z s C = 0.05 * 2^14.
    assert!((share - 819.2_f64.powi(2) / f64::from(HONEST)).abs() < 1e-3 * share);
    let mut deviations = Vec::new();
    for lost in [3, 2, 0] {
        let report = run(&task, 0.0, lost);
        let outcome = report.outcome.as_ref().expect("a sum");
        let survivors = outcome.survivors.len();
        assert_eq!(survivors, 8 - lost);
        assert_eq!(outcome.sum, report.plain_sum(&outcome.survivors));
        assert_eq!(
            outcome.total_weight as usize, survivors,
            "no noise on the weight"
        );
        let zero = survivors as i64 * i64::from(quantiser.levels) / 2;
        let noise: Vec<i64> = signed(&outcome.sum, task.ring())
            .into_iter()
            .map(|word| word - zero)
            .collect();
        let total = survivors as f64 * share;
        let off = moments(&noise, total);
        assert!(
            off.iter().all(|off| off.abs() < LIMIT),
            "{survivors}: {off:?}"
        );
        for wrong in [0.95, 1.05] {
            assert!(moments(&noise, wrong * total)[1].abs() > LIMIT);
        }
        // What the promise asks for is in every sum that opens.
        assert!(total >= f64::from(HONEST) * share);
        // The mean carries it in the update's units: z C sqrt(k / h) / k.
        let squares: f64 = outcome.mean.iter().map(|&x| f64::from(x).powi(2)).sum();
        let found = (squares / outcome.mean.len() as f64).sqrt();
        let expected = 0.05 * (survivors as f64 / 4.0).sqrt() / survivors as f64;
        assert!((found / expected - 1.0).abs() < 0.02, "{found} {expected}");
        deviations.push(found * survivors as f64);
    }
    assert!(
        deviations.is_sorted_by(|less, more| less < more),
        "{deviations:?}"
    );
}

#[test]
fn a_sum_that_noise_made_negative_is_decoded() {
    let mut task = task(200);
    task.quantiser.bound = 1.0 / 64.0;
    task.dp.noise_multiplier = 0.01;
    assert_eq!(task.check(), Ok(()));
    for (value, edge) in [(-1.0, -1.0), (1.0, 1.0)] {
        let report = run(&task, value, 1);
        let outcome = report
            .outcome
            .as_ref()
            .expect("noise of the promised size passes");
        let top = 7 * i64::from(task.quantiser.levels);
        let integers = signed(&outcome.sum, task.ring());
        let beyond = integers.iter().filter(|&&x| x < 0 || x > top).count();
        assert!(beyond > 100, "{beyond} of 402 beyond the edge");
        let edge = f64::from(task.quantiser.bound) * edge;
        let sum: f64 = outcome.mean.iter().map(|&x| f64::from(x) - edge).sum();
        let deviation = 0.01 * (7.0_f64 / 4.0).sqrt() / 7.0;
        assert!(sum.abs() < LIMIT * deviation * 402.0_f64.sqrt(), "{sum}");
        for (mean, x) in outcome.mean.iter().zip(&integers) {
            let exact = 2.0 * f64::from(task.quantiser.bound) * *x as f64 / top as f64
                - f64::from(task.quantiser.bound);
            assert!((f64::from(*mean) - exact).abs() < 1e-7);
        }
    }
}

#[test]
fn a_range_has_a_margin_of_eight_deviations_on_either_side() {
    let task = task(2);
    let (quantiser, dp, ring) = (&task.quantiser, &task.dp, task.ring());
    let deviation = 819.2 * (5.0_f64 / 4.0).sqrt();
    let margin = (8.0 * deviation + 24.0).ceil() as u32;
    assert_eq!(noise::margin(dp, quantiser, 5), u64::from(margin));
    let check =
        |word: u32, weight| fixed_point::in_range(&[0, word, weight], quantiser, dp, 5, ring);
    let top = 5 * quantiser.levels;
    for sound in [0, top, top + margin, ring.mask(), ring.mask() - margin + 1] {
        assert!(check(sound, 5), "{sound}");
    }
    for beyond in [top + margin + 1, ring.mask() - margin, ring.mask() / 2] {
        assert!(!check(beyond, 5), "{beyond}");
    }
    for weight in [0, 4, 6, ring.mask()] {
        assert!(!check(0, weight), "the weight carries no noise: {weight}");
    }
    assert!(!fixed_point::in_range(&[], quantiser, dp, 5, ring));
    // Without noise there is no margin.
    let none = Dp {
        noise_multiplier: 0.0,
        ..*dp
    };
    let check = |word| fixed_point::in_range(&[0, word, 5], quantiser, &none, 5, ring);
    assert!(check(top) && !check(top + 1) && !check(ring.mask()));
}

#[test]
fn garbage_leaves_the_range_in_at_least_half_of_its_coordinates() {
    let task = task(2);
    let (quantiser, dp, ring) = (&task.quantiser, &task.dp, task.ring());
    let mut entropy = InsecureSeededEntropy::new(3);
    let inside = (0..20_000)
        .filter(|_| {
            let word = entropy.next_u64() as u32 & ring.mask();
            fixed_point::in_range(&[word, 8], quantiser, dp, 8, ring)
        })
        .count();
    assert!(inside <= 10_000, "{inside}");
}

#[test]
fn the_ring_holds_a_sum_its_noise_and_one_bit_of_slack() {
    let bits = |levels: u32, bound: f32, noise_multiplier: f32, clients: u16, honest: u16| {
        let quantiser = Quantiser {
            levels,
            bound,
            weight_max: 1,
        };
        let dp = Dp {
            noise_multiplier,
            clip: 1.0,
            honest,
        };
        let ring = fixed_point::ring(&quantiser, &dp, clients);
        let span = f64::from(levels) * f64::from(clients)
            + 2.0 * noise::margin(&dp, &quantiser, clients) as f64;
        let fits = span < 2_f64.powi(i32::from(ring.bits()) - 1);
        assert_eq!(
            fixed_point::sum_fits(&quantiser, &dp, clients),
            fits || noise_multiplier == 0.0
        );
        (ring.bits(), fits)
    };
    // 100 * 254 = 25,400 < 2^15; noise of z = 1 at one step in 2^7 adds 16 * 187 + 48, of z = 4 more.
    assert_eq!(bits(254, 1.0, 0.0, 100, 46), (16, true));
    assert_eq!(bits(254, 1.0, 1.0, 100, 46), (16, true));
    assert_eq!(bits(254, 1.0, 4.0, 100, 46), (24, true));
    assert_eq!(bits(1 << 14, 0.5, 4.0, 100, 46), (24, true));
    assert_eq!(bits(1 << 14, 0.01, 4.0, 100, 46), (32, true));
    assert_eq!(bits(1 << 14, 1e-5, 4.0, 100, 46), (32, false));
}

#[test]
fn a_task_whose_noise_does_not_mean_what_it_says_is_refused() {
    type Change = fn(&mut TaskConfig);
    let changes: [(TaskError, Change); 16] = [
        (TaskError::Dp, |task| task.dp.noise_multiplier = -1.0),
        (TaskError::Dp, |task| task.dp.noise_multiplier = f32::NAN),
        (TaskError::Dp, |task| {
            task.dp.noise_multiplier = f32::INFINITY
        }),
        (TaskError::Dp, |task| task.dp.clip = 0.0),
        (TaskError::Dp, |task| task.dp.clip = -1.0),
        (TaskError::Dp, |task| task.dp.clip = f32::NAN),
        (TaskError::NoiseWeights, |task| {
            task.quantiser.weight_max = 2
        }),
        (TaskError::NoiseLevels, |task| task.quantiser.levels -= 1),
        (TaskError::Honest, |task| task.dp.honest = 0),
        (TaskError::Honest, |task| task.dp.honest = HONEST + 1),
        // Sums of a smaller cohort hold fewer honest inputs; and with more who are corrupt too.
        (TaskError::Honest, |task| task.cohort.min_cohort = 5),
        (TaskError::Honest, |task| task.cohort.corrupt_permille = 300),
        (TaskError::NoiseSteps, |task| task.quantiser.levels = 2),
        (TaskError::NoiseSteps, |task| task.dp.clip = 1e-4),
        (TaskError::NoiseSize, |task| {
            task.dp.noise_multiplier = 200.0
        }),
        // 2^31 without the margins: without noise, 32 bits would hold it.
        (TaskError::Overflow, |task| {
            task.quantiser.levels = 1 << 28;
            task.quantiser.bound = 8.0;
        }),
    ];
    assert_eq!(task(20).check(), Ok(()));
    for (place, (error, change)) in changes.into_iter().enumerate() {
        let mut task = task(20);
        if error == TaskError::NoiseSize {
            task.quantiser.bound = 0.5 / 64.0;
        }
        change(&mut task);
        assert_eq!(task.check(), Err(error), "change {place}");
    }
}

#[test]
fn a_clip_norm_alone_clips_every_update_to_it() {
    let mut task = task(2_000);
    task.dp = Dp {
        noise_multiplier: 0.0,
        clip: 0.25,
        honest: 0,
    };
    task.quantiser.weight_max = 16;
    let freeze = |value: f32| {
        let mut entropy = InsecureSeededEntropy::new(5);
        FrozenUpdate::new(&[value; 4_002], 3, &task, &mut entropy).expect("an update")
    };
    let norm = |value: f32| {
        let update = freeze(value);
        let mean = fixed_point::mean(update.plain_words(), &task).expect("a weight");
        mean.iter()
            .map(|&x| f64::from(x).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    for value in [0.1, -3.0, 1e30] {
        assert!(
            (norm(value) - 0.25).abs() < 1e-3,
            "{value}: {}",
            norm(value)
        );
    }
    assert!((norm(0.001) - 0.001 * 4_002_f64.sqrt()).abs() < 1e-3);
    assert_eq!(
        freeze(1e30).clipped(),
        0,
        "clipped to the norm, not to the bound"
    );
}

#[test]
fn the_same_update_is_never_the_same_integers_again() {
    let task = task(20);
    let mut entropy = InsecureSeededEntropy::new(5);
    let mut freeze = || FrozenUpdate::new(&[0.0; 42], 3, &task, &mut entropy).expect("an update");
    let (first, second) = (freeze(), freeze());
    let same = first
        .plain_words()
        .iter()
        .zip(second.plain_words())
        .filter(|(first, second)| first == second)
        .count();
    assert!(same <= 3, "the weight, and hardly anything else: {same}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_noisy_rotated_round_publishes_the_plain_sum_of_its_survivors_or_aborts(
        seed: u64,
        rotation: bool,
        lost in prop::collection::vec((0..8_usize, prop::sample::select(vec![
            Close::Before(Step::Share), Close::Before(Step::Upload), Close::MidUpload,
            Close::After(Step::Upload), Close::After(Step::Ack),
        ])), 0..4),
    ) {
        let mut task = task(6);
        task.rotation = rotation;
        let mut entropy = InsecureSeededEntropy::new(seed);
        let mut update = || (0..14).map(|_| entropy.below(2_000) as f32 / 1_000.0 - 1.0).collect();
        let report = sim::run(Plan {
            seed,
            updates: (0..8).map(|_| (update(), 1)).collect(),
            policy: Policy::demo(),
            faults: Faults { closes: lost, duplicate_permille: 50, restart_permille: 50, ..Faults::default() },
            task: task.clone(),
        }).expect("a sound task");
        match &report.outcome {
            Some(outcome) => {
                let plain = report.plain_sum(&outcome.survivors);
                prop_assert_eq!(&outcome.sum, &plain);
                let mean = fixed_point::mean(&plain, &task);
                prop_assert_eq!(Some(&outcome.mean), mean.as_ref());
            }
            None => prop_assert!(report.abort.is_some() || report.roster.is_empty()),
        }
    }
}
