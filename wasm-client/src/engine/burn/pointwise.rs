//! Pointwise non-linearities, written out so that every backend takes the gradient of the exact
//! function.

use burn::tensor::activation::sigmoid;

use super::Tensor;
use crate::engine::Activation;

/// The non-linearity of every value.
pub(super) fn activation(x: &Tensor<2>, kind: Activation) -> Tensor<2> {
    match kind {
        Activation::Gelu => {
            let cdf = x.clone().mul_scalar(core::f32::consts::FRAC_1_SQRT_2).erf();
            x.clone() * cdf.add_scalar(1.0).mul_scalar(0.5)
        }
        Activation::GeluTanh => {
            let cube = x.clone() * x.clone() * x.clone();
            let inner = (x.clone() + cube * 0.044_715) * (2.0 / core::f32::consts::PI).sqrt();
            x.clone() * (inner.tanh() + 1.0) * 0.5
        }
        Activation::Silu => x.clone() * sigmoid(x.clone()),
    }
}
