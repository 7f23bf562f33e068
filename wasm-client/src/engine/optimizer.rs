//! The optimizer's settings and state.

use choir_shared::task::Optimizer;

/// AdamW as in Loshchilov and Hutter 2019, algorithm 2 (decoupled decay, bias-corrected).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Step size.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
}

impl From<Optimizer> for AdamW {
    fn from(optimizer: Optimizer) -> Self {
        Self {
            learning_rate: optimizer.learning_rate,
            beta1: optimizer.beta1,
            beta2: optimizer.beta2,
            eps: optimizer.eps,
            weight_decay: optimizer.weight_decay,
        }
    }
}

/// What AdamW remembers from step to step, beside the adapter itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// First moments, in the adapter's flat order.
    pub first: Vec<f32>,
    /// Second moments, likewise.
    pub second: Vec<f32>,
    /// Steps taken.
    pub steps: u32,
}

impl OptimizerState {
    /// Before the first step, of so many values.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self {
            first: vec![0.0; len],
            second: vec![0.0; len],
            steps: 0,
        }
    }
}
