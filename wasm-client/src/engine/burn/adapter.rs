//! The flat adapter on the device, and its optimizer.

use burn::tensor::{Device, Tensor, TensorData};

use super::{AdamW, EngineError, OptimizerState, expect, values};

/// The flat adapter with its optimizer's state; nothing here is tracked by autodiff.
pub(super) struct Adapter {
    pub(super) flat: Tensor<1>,
    first_moment: Tensor<1>,
    second_moment: Tensor<1>,
    updates: i32,
}

impl Adapter {
    pub(super) fn new(flat: &[f32], device: &Device) -> Self {
        let zeros = Tensor::zeros([flat.len()], device);
        Self {
            flat: Tensor::from_data(TensorData::new(flat.to_vec(), [flat.len()]), device),
            first_moment: zeros.clone(),
            second_moment: zeros,
            updates: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.flat.dims()[0]
    }

    pub(super) async fn optimizer_state(&self) -> Result<OptimizerState, EngineError> {
        Ok(OptimizerState {
            first: values(self.first_moment.clone()).await?,
            second: values(self.second_moment.clone()).await?,
            steps: self.updates.unsigned_abs(),
        })
    }

    pub(super) fn restore(
        &mut self,
        state: &OptimizerState,
        device: &Device,
    ) -> Result<(), EngineError> {
        expect("first moments", self.len(), state.first.len())?;
        expect("second moments", self.len(), state.second.len())?;
        let vector = |values: &[f32]| {
            Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
        };
        self.first_moment = vector(&state.first);
        self.second_moment = vector(&state.second);
        self.updates = i32::try_from(state.steps).unwrap_or(i32::MAX);
        Ok(())
    }

    /// One step of AdamW.
    pub(super) fn update(&mut self, gradient: Tensor<1>, optimizer: &AdamW) {
        let AdamW {
            learning_rate,
            beta1,
            beta2,
            eps,
            weight_decay,
        } = *optimizer;
        self.updates += 1;
        let square = gradient.clone() * gradient.clone();
        self.first_moment =
            self.first_moment.clone().mul_scalar(beta1) + gradient.mul_scalar(1.0 - beta1);
        self.second_moment =
            self.second_moment.clone().mul_scalar(beta2) + square.mul_scalar(1.0 - beta2);
        let first = self
            .first_moment
            .clone()
            .div_scalar(1.0 - beta1.powi(self.updates));
        let second = self
            .second_moment
            .clone()
            .div_scalar(1.0 - beta2.powi(self.updates));
        let direction = first / second.sqrt().add_scalar(eps);
        let decayed = self
            .flat
            .clone()
            .mul_scalar(1.0 - learning_rate * weight_decay);
        self.flat = decayed - direction.mul_scalar(learning_rate);
    }
}
