//! A safetensors file of random weights, with the names and the `[out, in]` order of BERT
//! checkpoints.

use choir_shared::task::EncoderShape;
use choir_wasm_client::model::loader::file_name;
use choir_wasm_client::model::tensors::EncoderTensor;
use safetensors::tensor::{Dtype, TensorView};

use crate::case::Random;

/// A file of random weights: norms near 1, everything else small.
pub(crate) fn random(shape: &EncoderShape) -> Vec<u8> {
    let mut random = Random(11);
    let tensors = EncoderTensor::all(shape).into_iter();
    let tensors: Vec<_> = tensors
        .map(|tensor| {
            let (dimensions, values) = random_tensor(tensor, shape, &mut random);
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            (file_name(tensor), dimensions, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, dimensions, bytes)| {
        (
            name,
            TensorView::new(Dtype::F32, dimensions.clone(), bytes).expect("sizes fit"),
        )
    });
    safetensors::serialize(views, None).expect("a file")
}

/// Dimensions as in the file, and values.
fn random_tensor(
    tensor: EncoderTensor,
    shape: &EncoderShape,
    random: &mut Random,
) -> (Vec<usize>, Vec<f32>) {
    let [rows, columns] = tensor.shape(shape);
    match tensor {
        EncoderTensor::Word | EncoderTensor::Position => {
            (vec![rows, columns], random.values(rows * columns, 0.05))
        }
        EncoderTensor::TokenType => (vec![2, columns], random.values(2 * columns, 0.05)),
        EncoderTensor::NormGain(_) => {
            let values = random.values(columns, 0.1);
            (
                vec![columns],
                values.iter().map(|value| 1.0 + value).collect(),
            )
        }
        EncoderTensor::NormBias(_) | EncoderTensor::Bias(..) => {
            (vec![columns], random.values(columns, 0.05))
        }
        EncoderTensor::Weight(..) => {
            let bound = (3.0 / rows as f32).sqrt();
            (vec![columns, rows], random.values(rows * columns, bound))
        }
    }
}
