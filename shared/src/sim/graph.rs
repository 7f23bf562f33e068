//! How often a cohort fails for want of clients, by its graph and its quorum alone.
//!
//! Each client is lost independently between the roster and OPEN, and then before any of its four
//! messages alike. The cohort aborts if fewer than `q` acknowledge, or if fewer than `t` of the
//! out-list of anybody who has shared open: its self mask, or its mask secret where its update never
//! came, cannot then be reconstructed. No keys, no messages: thousands of cohorts a second.

use alloc::vec::Vec;

use super::random::Stream;
use crate::secure_sum::Parameters;

/// SHARE, UPLOAD, ACK, OPEN.
const MESSAGES: usize = 4;

/// The share of `trials` cohorts that abort where each client is lost with chance `loss`. The same
/// seed gives the same.
#[must_use]
pub fn abort_rate(parameters: &Parameters, loss: f64, trials: u32, seed: u64) -> f64 {
    let mut stream = Stream::new(seed, "cohort losses");
    let mut order: Vec<u16> = (0..parameters.clients.saturating_sub(1)).collect();
    let aborts = (0..trials)
        .filter(|_| aborts(parameters, loss, &mut order, &mut stream))
        .count();
    aborts as f64 / f64::from(trials.max(1))
}

/// One cohort. `order` holds `0..n-1` in any order.
fn aborts(parameters: &Parameters, loss: f64, order: &mut [u16], stream: &mut Stream) -> bool {
    // How many of its messages each client sends.
    let sent: Vec<usize> = (0..parameters.clients)
        .map(|_| match stream.uniform() < loss {
            true => stream.below(MESSAGES),
            false => MESSAGES,
        })
        .collect();
    let acknowledged = sent.iter().filter(|&&sent| sent >= MESSAGES - 1).count();
    if acknowledged < usize::from(parameters.quorum) {
        return true;
    }
    (0..parameters.clients)
        .filter(|&owner| sent[usize::from(owner)] > 0)
        .any(|owner| {
            shuffle_front(order, parameters.neighbours.into(), stream);
            let opening = order[..usize::from(parameters.neighbours)]
                .iter()
                // The clients but the owner: from the owner on, the next one.
                .map(|&other| other + u16::from(other >= owner))
                .filter(|&holder| sent[usize::from(holder)] == MESSAGES)
                .count();
            opening < usize::from(parameters.threshold)
        })
}

/// Brings a uniform choice of `count` items to the front.
fn shuffle_front(items: &mut [u16], count: usize, stream: &mut Stream) {
    for place in 0..count.min(items.len()) {
        let from = place + stream.below(items.len() - place);
        items.swap(place, from);
    }
}

#[cfg(test)]
mod tests {
    use super::abort_rate;
    use crate::secure_sum::Parameters;

    fn rate(clients: u16, loss: f64, trials: u32) -> f64 {
        let parameters = Parameters::new(clients, 100, 300).expect("parameters");
        abort_rate(&parameters, loss, trials, 11)
    }

    /// The loss, and between what the rate must lie.
    fn within(clients: u16, trials: u32, rows: &[(f64, f64, f64)]) {
        for &(loss, least, most) in rows {
            let rate = rate(clients, loss, trials);
            assert!((least..=most).contains(&rate), "{clients} {loss}: {rate}");
        }
    }

    #[test]
    fn a_hundred_clients_outlive_a_loss_of_a_quarter_and_seldom_one_of_two_fifths() {
        within(
            100,
            2_000,
            &[
                (0.0, 0.0, 0.0),
                (0.2, 0.0, 0.002),
                (0.25, 0.0, 0.006),
                (0.3, 0.005, 0.025),
                (0.35, 0.06, 0.12),
                (0.4, 0.25, 0.36),
                (1.0, 1.0, 1.0),
            ],
        );
    }

    #[test]
    fn ten_clients_lose_more_cohorts_than_a_hundred() {
        within(
            10,
            20_000,
            &[(0.1, 0.0, 0.005), (0.2, 0.02, 0.045), (0.3, 0.12, 0.18)],
        );
    }

    #[test]
    fn a_narrower_graph_fails_more_often() {
        let narrow = Parameters::new(100, 50, 200).expect("parameters");
        let narrow = abort_rate(&narrow, 0.3, 1_000, 11);
        assert!((0.15..0.27).contains(&narrow), "{narrow}");
        assert!(narrow > 5.0 * rate(100, 0.3, 1_000));
    }

    #[test]
    fn a_seed_gives_the_same_rate_again() {
        assert_eq!(rate(50, 0.35, 300), rate(50, 0.35, 300));
    }
}
