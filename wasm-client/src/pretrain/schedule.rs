//! The learning rate over a training: linear warm-up, then half a cosine (Loshchilov and Hutter 2017,
//! *SGDR*, equation 5, without restarts) down to a tenth.

/// Part of all steps that warm up.
const WARM_UP: f64 = 0.04;
/// Part of the highest rate that is left at the end.
const LAST: f64 = 0.1;

/// The rate of step `step` of `steps`, counted from 0.
pub(crate) fn learning_rate(highest: f32, step: u64, steps: u64) -> f32 {
    let warm = (WARM_UP * steps as f64).max(1.0);
    let at = (step + 1) as f64;
    let part = if at <= warm {
        at / warm
    } else {
        let done = (at - warm) / (steps as f64 - warm).max(1.0);
        LAST + (1.0 - LAST) * 0.5 * (1.0 + (core::f64::consts::PI * done.min(1.0)).cos())
    };
    (f64::from(highest) * part) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_to_the_highest_and_falls_to_a_tenth() {
        let rates: Vec<f32> = (0..100).map(|step| learning_rate(2.0, step, 100)).collect();
        assert_eq!(rates[0], 0.5);
        assert_eq!(rates[3], 2.0);
        assert!(rates[4..].windows(2).all(|pair| pair[1] < pair[0]));
        assert!((rates[99] - 0.2).abs() < 1e-6);
    }
}
