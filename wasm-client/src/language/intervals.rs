//! 95 % intervals: of an accuracy (Wilson 1927), and of any ratio over clients by drawing whole
//! clients again (the percentile bootstrap of Efron 1979, by clusters).
//!
//! Examples of one client are not independent. Where there are clients, the second is the honest
//! one; it needs some dozens of them.

use super::draws::Draws;

/// The normal distribution's 97.5 % quantile.
const Z: f64 = 1.959_963_984_540_054;
/// Share of the resamples on either side of a bootstrap interval.
const TAIL: f64 = 0.025;

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Wilson's score interval of a share. `successes` need not be whole: ties count one half. None
/// without trials, or with other successes than 0 to `trials`.
pub fn wilson(successes: f64, trials: usize) -> Option<Interval> {
    let n = trials as f64;
    if trials == 0 || !(0.0..=n).contains(&successes) {
        return None;
    }
    let share = successes / n;
    let scale = 1.0 + Z * Z / n;
    let centre = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(Interval {
        low: ((centre - half) / scale).max(0.0),
        high: ((centre + half) / scale).min(1.0),
    })
}

/// What one client adds to a ratio: nats and characters, right answers and questions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClientSum {
    /// Above the line.
    pub sum: f64,
    /// Below the line.
    pub count: f64,
}

/// Interval of Σ sum / Σ count over `resamples` draws of as many clients, with replacement.
/// Clients with nothing below the line are left out; none where no other is left, or without a
/// resample.
pub fn bootstrap_by_clients(
    clients: &[ClientSum],
    resamples: usize,
    seed: u64,
) -> Option<Interval> {
    let clients: Vec<ClientSum> = clients.iter().filter(|c| c.count > 0.0).copied().collect();
    if clients.is_empty() || resamples == 0 {
        return None;
    }
    let mut draws = Draws::new("choir/bootstrap", seed);
    let mut ratios: Vec<f64> = (0..resamples)
        .map(|_| resample(&clients, &mut draws))
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let outside = (TAIL * resamples as f64) as usize;
    Some(Interval {
        low: ratios[outside],
        high: ratios[resamples - 1 - outside],
    })
}

fn resample(clients: &[ClientSum], draws: &mut Draws) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for _ in clients {
        let client = clients[draws.below(clients.len())];
        sum += client.sum;
        count += client.count;
    }
    sum / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_equals_published_intervals() {
        // Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        for (successes, trials, low, high) in [
            (81.0, 263, 0.2553, 0.3662),
            (15.0, 148, 0.0624, 0.1605),
            (0.0, 20, 0.0, 0.1611),
            (1.0, 29, 0.0061, 0.1718),
        ] {
            let found = wilson(successes, trials).unwrap();
            assert!((found.low - low).abs() < 5e-5, "{found:?}");
            assert!((found.high - high).abs() < 5e-5, "{found:?}");
        }
        assert_eq!(wilson(20.0, 20).unwrap().high, 1.0);
        assert_eq!(wilson(0.0, 0), None);
        assert_eq!(wilson(3.0, 2), None);
        assert_eq!(wilson(f64::NAN, 2), None);
    }

    /// 40 clients with 1 to 7 questions and 0 or all answers right.
    fn clients() -> Vec<ClientSum> {
        (0..40)
            .map(|index| {
                let count = f64::from(index * 5 % 7 + 1);
                let right = f64::from(index * 11 % 3 % 2);
                ClientSum {
                    sum: count * right,
                    count,
                }
            })
            .collect()
    }

    #[test]
    fn the_bootstrap_is_as_wide_as_the_ratios_standard_error_says() {
        let clients = clients();
        let total = |of: fn(&ClientSum) -> f64| clients.iter().map(of).sum::<f64>();
        let ratio = total(|c| c.sum) / total(|c| c.count);
        // Linearised: the residuals sum − ratio · count of the clients.
        let squares: f64 = clients
            .iter()
            .map(|c| (c.sum - ratio * c.count).powi(2))
            .sum();
        let error = squares.sqrt() / total(|c| c.count);
        let found = bootstrap_by_clients(&clients, 4_000, 5).unwrap();
        for (end, expected) in [
            (found.low, ratio - Z * error),
            (found.high, ratio + Z * error),
        ] {
            assert!(
                (end - expected).abs() < 0.25 * error,
                "{found:?}, {expected}"
            );
        }
        // Answers counted one by one would look more certain than they are.
        let alone = wilson(total(|c| c.sum), total(|c| c.count) as usize).unwrap();
        assert!(found.high - found.low > 1.5 * (alone.high - alone.low));
    }

    #[test]
    fn a_seed_decides_the_bootstrap() {
        let run = |seed| bootstrap_by_clients(&clients(), 200, seed);
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn clients_with_nothing_are_left_out() {
        let nothing = ClientSum {
            sum: 0.0,
            count: 0.0,
        };
        let one = ClientSum {
            sum: 1.0,
            count: 4.0,
        };
        let found = bootstrap_by_clients(&[nothing, one, nothing], 50, 1);
        assert_eq!(
            found,
            Some(Interval {
                low: 0.25,
                high: 0.25
            })
        );
        assert_eq!(bootstrap_by_clients(&[nothing], 50, 1), None);
        assert_eq!(bootstrap_by_clients(&[one], 0, 1), None);
    }
}
