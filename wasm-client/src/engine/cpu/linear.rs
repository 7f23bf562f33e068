//! Linear layers: the products of their forward pass and of their gradients.

use super::CpuKernels;
use super::buffer::CpuBuffer;
use super::product::{Right, Store, row_major, transposed};
use crate::engine::kernels::{LinearCall, LinearInputGradient, LoraGradient, WeightGradient};
use crate::engine::{EngineError, Weight};

impl CpuKernels {
    pub(super) fn multiply_linear(
        &mut self,
        call: LinearCall<'_, CpuBuffer>,
    ) -> Result<(), EngineError> {
        let LinearCall {
            x,
            layer,
            low_rank,
            y,
            rows,
        } = call;
        let [inputs, outputs] = layer.shape;
        let x = x.values();
        let x = row_major(&x, [rows, inputs])?;
        let mut y = y.values_mut();
        let y = &mut y[..rows * outputs];
        let frozen_bias;
        let bias = match &layer.bias {
            None => None,
            Some(Weight::Trained(p)) => Some(self.trained(&p.range)),
            Some(Weight::Frozen(buffer)) => {
                frozen_bias = buffer.values();
                Some(&frozen_bias[..outputs])
            }
        };
        let store = Store {
            bias,
            ..Store::default()
        };
        self.products
            .multiply(y, x, self.right(&layer.weight, layer.shape)?, store)?;
        let (Some(lora), Some(low_rank)) = (&layer.lora, low_rank) else {
            return Ok(());
        };
        let rank = lora.a.shape[1];
        let mut low_rank = low_rank.values_mut();
        let low_rank = &mut low_rank[..rows * rank];
        let a = row_major(self.trained(&lora.a.range), lora.a.shape)?;
        self.products
            .multiply(low_rank, x, Right::Plain(a), Store::default())?;
        let b = row_major(self.trained(&lora.b.range), lora.b.shape)?;
        let add = Store {
            scale: Some(lora.scale),
            add: true,
            bias: None,
        };
        self.products
            .multiply(y, row_major(low_rank, [rows, rank])?, Right::Plain(b), add)
    }

    pub(super) fn multiply_input_gradient(
        &mut self,
        call: LinearInputGradient<'_, CpuBuffer>,
    ) -> Result<(), EngineError> {
        let LinearInputGradient {
            d_y,
            layer,
            d_low_rank,
            d_x,
            add,
            rows,
        } = call;
        let [inputs, outputs] = layer.shape;
        let mut d_x = d_x.values_mut();
        let d_x = &mut d_x[..rows * inputs];
        let d_y = d_y.values();
        let d_y = row_major(&d_y, [rows, outputs])?;
        let weight = self.right_transposed(&layer.weight, layer.shape)?;
        self.products.multiply(
            d_x,
            d_y,
            weight,
            Store {
                add,
                ..Store::default()
            },
        )?;
        let (Some(lora), Some(d_low_rank)) = (&layer.lora, d_low_rank) else {
            return Ok(());
        };
        let d_low_rank = d_low_rank.values();
        let d_low_rank = row_major(&d_low_rank, [rows, lora.a.shape[1]])?;
        let a = transposed(self.trained(&lora.a.range), lora.a.shape)?;
        let add = Store {
            add: true,
            ..Store::default()
        };
        self.products
            .multiply(d_x, d_low_rank, Right::Plain(a), add)
    }

    pub(super) fn multiply_lora_gradient(
        &mut self,
        call: LoraGradient<'_, CpuBuffer>,
    ) -> Result<(), EngineError> {
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
        let mut d_low_rank = d_low_rank.values_mut();
        let d_low_rank = &mut d_low_rank[..rows * rank];
        let b = transposed(&self.adapter[lora.b.range.clone()], lora.b.shape)?;
        self.products
            .multiply(d_low_rank, d_y, Right::Plain(b), scaled)?;
        let d_b = &mut self.gradient[lora.b.range.clone()];
        let low_rank = transposed(&low_rank, [rows, rank])?;
        self.products
            .multiply(d_b, low_rank, Right::Plain(d_y), scaled)?;
        let d_a = &mut self.gradient[lora.a.range.clone()];
        let x = transposed(&x, [rows, inputs])?;
        let d_low_rank = Right::Plain(row_major(d_low_rank, [rows, rank])?);
        self.products.multiply(d_a, x, d_low_rank, Store::default())
    }

    pub(super) fn multiply_weight_gradient(
        &mut self,
        call: WeightGradient<'_, CpuBuffer>,
    ) -> Result<(), EngineError> {
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
            let d_y = Right::Plain(row_major(&d_y, [rows, outputs])?);
            let x = transposed(&x, [rows, inputs])?;
            self.products.multiply(d_weight, x, d_y, Store::default())?;
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

    /// A weight as the right-hand side of a product.
    fn right<'a>(
        &'a self,
        weight: &'a Weight<CpuBuffer>,
        shape: [usize; 2],
    ) -> Result<Right<'a>, EngineError> {
        match weight {
            Weight::Frozen(buffer) => Ok(Right::Packed(buffer.packed(&self.products)?)),
            Weight::Trained(p) => Ok(Right::Plain(row_major(self.trained(&p.range), shape)?)),
        }
    }

    /// Its transpose.
    fn right_transposed<'a>(
        &'a self,
        weight: &'a Weight<CpuBuffer>,
        shape: [usize; 2],
    ) -> Result<Right<'a>, EngineError> {
        match weight {
            Weight::Frozen(buffer) => Ok(Right::Packed(buffer.packed_transposed(&self.products)?)),
            Weight::Trained(p) => Ok(Right::Plain(transposed(self.trained(&p.range), shape)?)),
        }
    }
}
