//! What the aggregator does with a round's mean update: federated averaging (McMahan et al. 2017)
//! and the adaptive server optimizers of Reddi et al. 2021 (algorithm 2), with Hsu et al. 2019's
//! momentum.
//!
//! All of them see the mean alone, so all of them work on a secure sum. Everything is f32 in index
//! order; roots come from `libm`, so that the same rounds give the same adapter on every machine.

use alloc::vec;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// From a mean update to the next global adapter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ServerOptimizer {
    /// FedAvg: the adapter moves by the mean.
    Average,
    /// FedAvgM: it moves by the momentum, without a step size of its own.
    Momentum {
        /// Part of the momentum that stays.
        #[serde(default = "beta1")]
        beta1: f32,
    },
    /// FedAdagrad, without momentum.
    Adagrad(Adaptive),
    /// FedYogi.
    Yogi(Adaptive),
    /// FedAdam.
    Adam(Adaptive),
}

/// The settings of the adaptive ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adaptive {
    /// Step size.
    pub learning_rate: f32,
    /// Part of the momentum that stays.
    pub beta1: f32,
    /// Part of the second moment that stays.
    pub beta2: f32,
    /// Adaptivity: added to the root of the second moment, which starts at its square.
    pub tau: f32,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: beta1(),
            beta2: 0.99,
            tau: 1e-3,
        }
    }
}

const fn beta1() -> f32 {
    0.9
}

/// What a server optimizer keeps between rounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerState {
    /// Of the mean updates; empty before the first round.
    pub momentum: Vec<f32>,
    /// Of their squares; empty before the first round or where none is kept.
    pub second_moment: Vec<f32>,
}

impl ServerOptimizer {
    /// Moves `adapter` by what a round with this mean update is worth.
    ///
    /// # Panics
    /// If the lengths differ, also from those of earlier rounds.
    pub fn step(&self, state: &mut ServerState, adapter: &mut [f32], mean: &[f32]) {
        assert_eq!(adapter.len(), mean.len(), "one length for adapter and mean");
        match *self {
            Self::Average => crate::fixed_point::apply_mean(adapter, mean),
            Self::Momentum { beta1 } => {
                update_momentum(state, beta1, mean);
                crate::fixed_point::apply_mean(adapter, &state.momentum);
            }
            Self::Adagrad(settings) => {
                state.momentum.clear();
                state.momentum.extend_from_slice(mean);
                settings.step(state, adapter, |v, m| v + m * m);
            }
            Self::Yogi(settings) => {
                update_momentum(state, settings.beta1, mean);
                settings.step(state, adapter, |v, m| {
                    let square = m * m;
                    let sign = f32::from(i8::from(v > square) - i8::from(v < square));
                    v - (1.0 - settings.beta2) * square * sign
                });
            }
            Self::Adam(settings) => {
                update_momentum(state, settings.beta1, mean);
                settings.step(state, adapter, |v, m| {
                    settings.beta2 * v + (1.0 - settings.beta2) * (m * m)
                });
            }
        }
    }

    /// Whether each client counts as one, as the adaptive ones have it, and not by its examples.
    #[must_use]
    pub const fn counts_clients(&self) -> bool {
        matches!(self, Self::Adagrad(_) | Self::Yogi(_) | Self::Adam(_))
    }

    /// Whether its numbers are in range.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let part = |value: f32| (0.0..1.0).contains(&value);
        match *self {
            Self::Average => true,
            Self::Momentum { beta1 } => part(beta1),
            Self::Adagrad(settings) | Self::Yogi(settings) | Self::Adam(settings) => {
                let positive = |value: f32| value.is_finite() && value > 0.0;
                part(settings.beta1)
                    && part(settings.beta2)
                    && positive(settings.learning_rate)
                    && positive(settings.tau)
            }
        }
    }
}

impl Adaptive {
    /// `v = second(v, m)`, then `adapter += learning_rate * m / (sqrt(v) + tau)`.
    fn step(self, state: &mut ServerState, adapter: &mut [f32], second: impl Fn(f32, f32) -> f32) {
        if state.second_moment.is_empty() {
            state.second_moment = vec![self.tau * self.tau; adapter.len()];
        }
        assert_eq!(
            state.second_moment.len(),
            adapter.len(),
            "one length in all rounds"
        );
        let moments = state.momentum.iter().zip(&mut state.second_moment);
        for (value, (&m, v)) in adapter.iter_mut().zip(moments) {
            *v = second(*v, m);
            *value += self.learning_rate * m / (libm::sqrtf(*v) + self.tau);
        }
    }
}

/// The first mean, then `beta1 * momentum + (1 - beta1) * mean`.
fn update_momentum(state: &mut ServerState, beta1: f32, mean: &[f32]) {
    if state.momentum.is_empty() {
        state.momentum = mean.to_vec();
        return;
    }
    assert_eq!(state.momentum.len(), mean.len(), "one length in all rounds");
    for (m, &change) in state.momentum.iter_mut().zip(mean) {
        *m = beta1 * *m + (1.0 - beta1) * change;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Adaptive = Adaptive {
        learning_rate: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        tau: 0.01,
    };
    const MEANS: [f32; 3] = [0.5, -0.25, 0.125];

    /// Three rounds of one coordinate that starts at 1.
    fn run(optimizer: ServerOptimizer) -> [f32; 3] {
        let mut state = ServerState::default();
        let mut adapter = [1.0];
        MEANS.map(|mean| {
            optimizer.step(&mut state, &mut adapter, &[mean]);
            adapter[0]
        })
    }

    fn assert_near(found: [f32; 3], expected: [f64; 3]) {
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(
                (f64::from(found) - expected).abs() < 2e-6,
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn average_moves_by_the_mean() {
        assert_near(run(ServerOptimizer::Average), [1.5, 1.25, 1.375]);
    }

    #[test]
    fn momentum_starts_at_the_first_mean_and_fades() {
        // m: 0.5; 0.9*0.5 - 0.1*0.25 = 0.425; 0.9*0.425 + 0.1*0.125 = 0.395
        let found = run(ServerOptimizer::Momentum { beta1: 0.9 });
        assert_near(found, [1.5, 1.925, 2.32]);
    }

    #[test]
    fn adagrad_adds_up_squares() {
        // v: 0.0001 + 0.25; + 0.0625; + 0.015625
        let expected = [
            1.0 + 0.1 * 0.5 / (libm::sqrt(0.2501) + 0.01),
            1.0 + 0.1 * 0.5 / (libm::sqrt(0.2501) + 0.01)
                - 0.1 * 0.25 / (libm::sqrt(0.3126) + 0.01),
            1.0 + 0.1 * 0.5 / (libm::sqrt(0.2501) + 0.01)
                - 0.1 * 0.25 / (libm::sqrt(0.3126) + 0.01)
                + 0.1 * 0.125 / (libm::sqrt(0.328_225) + 0.01),
        ];
        assert_near(run(ServerOptimizer::Adagrad(SETTINGS)), expected);
    }

    #[test]
    fn adam_follows_the_formula_by_hand() {
        // m: 0.5, 0.425, 0.395
        // v: 0.99*0.0001 + 0.01*0.25       = 0.002599
        //    0.99*0.002599 + 0.01*0.180625 = 0.00437926
        //    0.99*0.00437926 + 0.01*0.156025 = 0.0058957174
        let first = 1.0 + 0.1 * 0.5 / (libm::sqrt(0.002_599) + 0.01);
        let second = first + 0.1 * 0.425 / (libm::sqrt(0.004_379_26) + 0.01);
        let third = second + 0.1 * 0.395 / (libm::sqrt(0.005_895_717_4) + 0.01);
        assert_near(run(ServerOptimizer::Adam(SETTINGS)), [first, second, third]);
    }

    #[test]
    fn yogi_follows_the_formula_by_hand() {
        // v grows by 0.01 m^2 while it is below m^2:
        //    0.0001 + 0.0025 = 0.0026; + 0.00180625 = 0.00440625; + 0.00156025 = 0.0059665
        let first = 1.0 + 0.1 * 0.5 / (libm::sqrt(0.0026) + 0.01);
        let second = first + 0.1 * 0.425 / (libm::sqrt(0.004_406_25) + 0.01);
        let third = second + 0.1 * 0.395 / (libm::sqrt(0.005_966_5) + 0.01);
        assert_near(run(ServerOptimizer::Yogi(SETTINGS)), [first, second, third]);
    }

    #[test]
    fn a_zero_mean_moves_only_what_has_momentum() {
        let mut adapter = [1.0];
        let adam = ServerOptimizer::Adam(SETTINGS);
        adam.step(&mut ServerState::default(), &mut adapter, &[0.0]);
        assert_eq!(adapter, [1.0]);
        let mut state = ServerState {
            momentum: vec![0.2],
            second_moment: vec![0.01],
        };
        adam.step(&mut state, &mut adapter, &[0.0]);
        assert!(adapter[0] > 1.0);
    }

    #[test]
    fn numbers_out_of_range_are_not_sound() {
        assert!(ServerOptimizer::Adam(Adaptive::default()).is_sound());
        let broken = Adaptive {
            tau: 0.0,
            ..SETTINGS
        };
        assert!(!ServerOptimizer::Yogi(broken).is_sound());
        assert!(!ServerOptimizer::Momentum { beta1: 1.0 }.is_sound());
    }
}
