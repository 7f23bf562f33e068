//! Linear layers: the products of their forward pass and of their gradients.

use core::cell::Ref;
use core::ops::Deref;

use super::CpuKernels;
use super::buffer::CpuBuffer;
use super::panel::Side;
use super::product::{Matrix, Store, multiply, row_major, transposed};
use crate::engine::checks::length;
use crate::engine::kernels::{
    LinearCall, LinearInputGradient, LoraGradient, LowRankCall, LowRankWay, WeightGradient,
};
use crate::engine::{EngineError, LinearLayer, Weight};

impl CpuKernels {
    pub(super) fn multiply_linear(
        &mut self,
        call: LinearCall<'_, CpuBuffer>,
    ) -> Result<(), EngineError> {
        let low_rank = call.checked()?;
        let LinearCall {
            x, layer, y, rows, ..
        } = call;
        let [inputs, outputs] = layer.shape;
        let x = x.values();
        let x = row_major(&x, [rows, inputs])?;
        let mut y = y.values_mut();
        let y = &mut y[..rows * outputs];
        let bias = layer.bias.as_ref().map(|bias| self.values_of(bias));
        let store = Store {
            bias: bias.as_ref().map(|bias| &bias[..outputs]),
            ..Store::default()
        };
        self.multiply_weight(y, x, layer, Side::Plain, store)?;
        let Some((lora, low_rank)) = low_rank else {
            return Ok(());
        };
        let low_rank = low_rank.values();
        let low_rank = row_major(&low_rank, [rows, lora.a.shape[1]])?;
        let b = row_major(self.trained(&lora.b.range), lora.b.shape)?;
        let add = Store {
            scale: Some(lora.scale),
            add: true,
            bias: None,
        };
        multiply(y, low_rank, b, add)
    }

    pub(super) fn multiply_low_rank(
        &mut self,
        way: LowRankWay,
        call: &LowRankCall<'_, CpuBuffer>,
        rows: usize,
    ) -> Result<(), EngineError> {
        let columns = call.checked(way, rows)?;
        let LowRankCall { lora, x, low_rank } = *call;
        let x = x.values();
        let x = row_major(&x, [rows, columns])?;
        let mut low_rank = low_rank.values_mut();
        let low_rank = &mut low_rank[..rows * lora.a.shape[1]];
        match way {
            LowRankWay::Forward => {
                let a = row_major(self.trained(&lora.a.range), lora.a.shape)?;
                multiply(low_rank, x, a, Store::default())
            }
            LowRankWay::Backward => {
                let b = transposed(self.trained(&lora.b.range), lora.b.shape)?;
                let scaled = Store {
                    scale: Some(lora.scale),
                    ..Store::default()
                };
                multiply(low_rank, x, b, scaled)
            }
        }
    }

    pub(super) fn multiply_input_gradient(
        &mut self,
        call: LinearInputGradient<'_, CpuBuffer>,
    ) -> Result<(), EngineError> {
        let low_rank = call.checked()?;
        let LinearInputGradient {
            d_y,
            layer,
            d_x,
            add,
            rows,
            ..
        } = call;
        let [inputs, outputs] = layer.shape;
        let mut d_x = d_x.values_mut();
        let d_x = &mut d_x[..rows * inputs];
        let d_y = d_y.values();
        let d_y = row_major(&d_y, [rows, outputs])?;
        let store = Store {
            add,
            ..Store::default()
        };
        self.multiply_weight(d_x, d_y, layer, Side::Transposed, store)?;
        let Some((lora, d_low_rank)) = low_rank else {
            return Ok(());
        };
        let d_low_rank = d_low_rank.values();
        let d_low_rank = row_major(&d_low_rank, [rows, lora.a.shape[1]])?;
        let a = transposed(self.trained(&lora.a.range), lora.a.shape)?;
        let add = Store {
            add: true,
            ..Store::default()
        };
        multiply(d_x, d_low_rank, a, add)
    }

    pub(super) fn multiply_lora_gradient(
        &mut self,
        call: LoraGradient<'_, CpuBuffer>,
    ) -> Result<(), EngineError> {
        call.check()?;
        let LoraGradient {
            x,
            d_y,
            lora,
            low_rank,
            d_low_rank,
            rows,
        } = call;
        let ([inputs, rank], outputs) = (lora.a.shape, lora.b.shape[1]);
        let scaled = Store {
            scale: Some(lora.scale),
            ..Store::default()
        };
        let (x, d_y, low_rank) = (x.values(), d_y.values(), low_rank.values());
        let d_y = row_major(&d_y, [rows, outputs])?;
        let d_low_rank = d_low_rank.values();
        let d_b = &mut self.gradient[lora.b.range.clone()];
        let low_rank = transposed(&low_rank, [rows, rank])?;
        multiply(d_b, low_rank, d_y, scaled)?;
        let d_a = &mut self.gradient[lora.a.range.clone()];
        let x = transposed(&x, [rows, inputs])?;
        let d_low_rank = row_major(&d_low_rank, [rows, rank])?;
        multiply(d_a, x, d_low_rank, Store::default())
    }

    pub(super) fn multiply_weight_gradient(
        &mut self,
        call: WeightGradient<'_, CpuBuffer>,
    ) -> Result<(), EngineError> {
        call.check()?;
        let WeightGradient {
            x,
            d_y,
            weight,
            bias,
            shape: [inputs, outputs],
            rows,
        } = call;
        let (x, d_y) = (x.values(), d_y.values());
        if let Some(weight) = weight {
            let d_weight = &mut self.gradient[weight.range.clone()];
            let d_y = row_major(&d_y, [rows, outputs])?;
            let x = transposed(&x, [rows, inputs])?;
            multiply(d_weight, x, d_y, Store::default())?;
        }
        if let Some(bias) = bias {
            let d_bias = &mut self.gradient[bias.range.clone()];
            d_bias.fill(0.0);
            for row in d_y[..rows * outputs].chunks_exact(outputs) {
                d_bias
                    .iter_mut()
                    .zip(row)
                    .for_each(|(sum, d_y)| *sum += d_y);
            }
        }
        Ok(())
    }

    /// `out (+)= x·W + bias`, or `x·Wᵀ`, whatever `W` is kept in.
    pub(super) fn multiply_weight(
        &self,
        out: &mut [f32],
        x: Matrix<'_>,
        layer: &LinearLayer<CpuBuffer>,
        side: Side,
        store: Store<'_>,
    ) -> Result<(), EngineError> {
        if let Weight::Frozen(buffer) = &layer.weight
            && let Some(matrix) = buffer.matrix()
        {
            length("rows of a weight", layer.shape[0], matrix.shape()[0])?;
            length("columns of a weight", layer.shape[1], matrix.shape()[1])?;
            return self
                .panel
                .multiply(out, x, matrix, side, store, &self.meter);
        }
        let weight = self.values_of(&layer.weight);
        let weight = match side {
            Side::Plain => row_major(&weight, layer.shape)?,
            Side::Transposed => transposed(&weight, layer.shape)?,
        };
        multiply(out, x, weight, store)
    }

    /// A weight's values, wherever they lie.
    fn values_of<'a>(&'a self, weight: &'a Weight<CpuBuffer>) -> Values<'a> {
        match weight {
            Weight::Frozen(buffer) => Values::Frozen(buffer.values()),
            Weight::Trained(parameter) => Values::Trained(self.trained(&parameter.range)),
        }
    }
}

/// Values of a frozen tensor or of a part of the adapter.
enum Values<'a> {
    Frozen(Ref<'a, Vec<f32>>),
    Trained(&'a [f32]),
}

impl Deref for Values<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Frozen(values) => values,
            Self::Trained(values) => values,
        }
    }
}
