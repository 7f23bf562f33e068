//! The quantiser: what an update becomes in the ring, and what comes back of it.

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::fixed_point;
use choir_shared::sim;
use choir_shared::task::{Dp, Quantiser, TaskError};
use choir_shared::update::{FrozenUpdate, UpdateError};
use proptest::prelude::*;

const NO_NOISE: Dp = Dp {
    noise_multiplier: 0.0,
    clip: 0.0,
    honest: 0,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn quantised_values_stay_in_range(
        values in prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::ZERO | prop::num::f32::SUBNORMAL, 14),
        examples in 1..2_000u32,
        bound in 1e-6f32..1e3,
        levels in 1..65_536u32,
        seed: u64,
    ) {
        let mut task = sim::head_task(49, 3, 6);
        task.quantiser = Quantiser { levels, bound, weight_max: 512 };
        let update = FrozenUpdate::new(&values, examples, &task, &mut InsecureSeededEntropy::new(seed))
            .expect("an update");
        let (weight, words) = update.plain_words().split_last().expect("a weight");
        prop_assert_eq!(*weight, examples.min(512));
        for (word, value) in words.iter().zip(&values) {
            prop_assert!(*word <= weight * levels);
            if *value >= bound { prop_assert_eq!(*word, weight * levels); }
            if *value <= -bound { prop_assert_eq!(*word, 0); }
        }
        let clipped = values.iter().filter(|value| value.abs() > bound).count();
        prop_assert_eq!(update.clipped(), clipped);
    }
}

#[test]
fn rounding_is_unbiased() {
    let task = sim::head_task(4, 3, 5_000);
    let mut entropy = InsecureSeededEntropy::new(4);
    for (value, examples) in [
        (0.123_456_7_f32, 1),
        (-0.75, 3),
        (1e-5, 17),
        (0.999_99, 512),
    ] {
        let values = vec![value; 10_002];
        let update = FrozenUpdate::new(&values, examples, &task, &mut entropy).expect("an update");
        let words = &update.plain_words()[..10_002];
        let mean = words.iter().map(|&word| f64::from(word)).sum::<f64>() / 10_002.0;
        let exact = f64::from(examples) * (f64::from(value) + 1.0) * 65_535.0 / 2.0;
        // The variance of one rounding is at most a quarter: six deviations of the mean.
        assert!(
            (mean - exact).abs() < 6.0 * 0.5 / 100.0,
            "{value}: {mean} for {exact}"
        );
        assert!(
            words
                .iter()
                .all(|&word| (f64::from(word) - exact).abs() < 1.0)
        );
    }
}

#[test]
fn an_update_that_is_none_is_refused() {
    let task = sim::head_task(4, 3, 6);
    let mut entropy = InsecureSeededEntropy::new(4);
    let mut freeze =
        |values: &[f32], examples| FrozenUpdate::new(values, examples, &task, &mut entropy).err();
    assert_eq!(
        freeze(&[0.0; 13], 1),
        Some(UpdateError::WrongLength {
            expected: 14,
            actual: 13
        })
    );
    assert_eq!(freeze(&[0.0; 14], 0), Some(UpdateError::NoExamples));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = [0.0; 14];
        values[5] = bad;
        assert_eq!(freeze(&values, 1), Some(UpdateError::NotFinite));
    }
}

#[test]
fn a_sum_that_could_wrap_is_refused_at_the_boundary() {
    let quantiser = |levels, weight_max| Quantiser {
        levels,
        bound: 1.0,
        weight_max,
    };
    let fits = |levels, weight_max, clients| {
        fixed_point::sum_fits(&quantiser(levels, weight_max), &NO_NOISE, clients)
    };
    // 3 * 5 * 286,331,153 = 2^32 - 1.
    assert!(fits(286_331_153, 5, 3));
    assert!(!fits(286_331_154, 5, 3));
    assert!(!fits(1 << 30, 1, 4));
    assert!(!fits(u32::MAX, u32::MAX, u16::MAX));
    let mut task = sim::head_task(4, 3, 6);
    task.quantiser = quantiser(1 << 30, 1);
    assert_eq!(task.check(), Err(TaskError::Overflow));
}

#[test]
fn the_ring_is_the_smallest_with_a_bit_of_slack() {
    let bits = |levels, weight_max, clients| {
        let quantiser = Quantiser {
            levels,
            bound: 1.0,
            weight_max,
        };
        fixed_point::ring(&quantiser, &NO_NOISE, clients).bits()
    };
    // 2^15 - 1 = 7 * 31 * 151, 2^23 - 1 = 47 * 178,481.
    assert_eq!(bits(151, 31, 7), 16);
    assert_eq!(bits(1 << 10, 4, 8), 24);
    assert_eq!(bits(178_481, 1, 47), 24);
    assert_eq!(bits(1 << 18, 4, 8), 32);
    // The profiles of the design: 8 bits for 100 clients, 14 for 500 and 16 for 4,096 of weight 16.
    assert_eq!(bits(255, 1, 100), 16);
    assert_eq!(bits((1 << 14) - 1, 1, 500), 24);
    assert_eq!(bits((1 << 16) - 1, 16, 4_096), 32);
}

#[test]
fn the_largest_sum_that_fits_a_ring_comes_back_exactly() {
    for (levels, clients) in [(286_331_153_u32, 3_u16), (65_535, 49), (255, 49)] {
        let mut task = sim::head_task(clients, 3, 6);
        let weight_max = if clients == 3 { 5 } else { 1 };
        task.quantiser = Quantiser {
            levels,
            bound: 1.0,
            weight_max,
        };
        assert_eq!(task.check(), Ok(()));
        let mut entropy = InsecureSeededEntropy::new(2);
        let mut sum = [0u32; 15];
        for _ in 0..clients {
            let values = [
                1.0, -1.0, 0.0, 2.0, -2.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0,
            ];
            let update = FrozenUpdate::new(&values, 9, &task, &mut entropy).expect("an update");
            for (total, word) in sum.iter_mut().zip(update.plain_words()) {
                *total = total.checked_add(*word).expect("no sum wraps") & task.ring().mask();
            }
        }
        let top = u32::from(clients) * weight_max * levels;
        assert_eq!((sum[0], sum[1], sum[3], sum[4]), (top, 0, top, 0));
        let in_range =
            fixed_point::in_range(&sum, &task.quantiser, &NO_NOISE, clients, task.ring());
        assert!(in_range);
        let mean = fixed_point::mean(&sum, &task).expect("a weight");
        assert_eq!((mean[0], mean[1], mean[3], mean[4]), (1.0, -1.0, 1.0, -1.0));
    }
}

#[test]
fn the_mean_is_added_in_index_order() {
    let mut task = sim::head_task(4, 3, 6);
    task.quantiser = Quantiser {
        levels: 100,
        bound: 1.0,
        weight_max: 4,
    };
    let mean = fixed_point::mean(&[0, 300, 600, 450, 6], &task).expect("a weight");
    assert_eq!(mean, [-1.0, 0.0, 1.0, 0.5]);
    let mut adapter = [1.0, 2.0, 3.0, 4.0];
    fixed_point::apply_mean(&mut adapter, &mean);
    assert_eq!(adapter, [0.0, 2.0, 4.0, 4.5]);
    let bytes = fixed_point::adapter_bytes(&adapter);
    assert_eq!(
        fixed_point::adapter_from_bytes(&bytes),
        Some(adapter.to_vec())
    );
    assert_eq!(fixed_point::adapter_from_bytes(&bytes[1..]), None);
    assert_eq!(fixed_point::mean(&[1, 0], &task), None);
}
