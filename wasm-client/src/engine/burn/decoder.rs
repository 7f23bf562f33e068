//! The operations of decoders on burn tensors.

use burn::tensor::activation::{log_softmax, sigmoid};
use burn::tensor::{Tensor, TensorData};

use super::padding::positions;
use super::{BurnEngine, EngineError, Parameter, expect, indices, within};
use crate::engine::checks;
use crate::engine::decoder::{DecoderEngine, LanguageHead, NOT_SCORED, Rotary, StreamNorm};

impl BurnEngine {
    /// Cosines and sines of each row's angles, `[rows, 1, head_dim / 2]` each.
    fn angles(&self, rotary: &Rotary) -> Result<[Tensor<3>; 2], EngineError> {
        let positions = positions(&self.step()?.batch);
        let reach = positions.iter().max().map_or(0, |last| last + 1) as usize;
        let half = rotary.head_dim / 2;
        let data = TensorData::new(rotary.table(reach), [2 * reach, half]);
        let table = Tensor::<2>::from_data(data, &self.device);
        let rows = positions.len();
        Ok([0, 1].map(|part| {
            let places: Vec<u32> = positions.iter().map(|at| 2 * at + part).collect();
            table
                .clone()
                .select(0, indices(&places, &self.device))
                .reshape([rows, 1, half])
        }))
    }
}

impl DecoderEngine for BurnEngine {
    fn token_embedding(
        &mut self,
        word: &Tensor<2>,
        prompt: Option<&Parameter>,
    ) -> Result<Tensor<2>, EngineError> {
        let vocabulary = word.dims()[0];
        let batch = &self.step()?.batch;
        within("token", &batch.tokens, vocabulary)?;
        let rows = word.clone().select(0, indices(&batch.tokens, &self.device));
        self.with_prompt(rows, prompt)
    }

    fn stream_norm(
        &mut self,
        x: &Tensor<2>,
        layer: &StreamNorm<Tensor<2>>,
    ) -> Result<Tensor<2>, EngineError> {
        let [rows, dim] = x.dims();
        let columns = layer.gain.dims()[1];
        expect(
            "columns of a norm beyond whole groups",
            0,
            dim % columns.max(1),
        )?;
        let x = x.clone().reshape([rows * dim / columns, columns]);
        let x = match layer.bias {
            Some(_) => x.clone() - x.mean_dim(1),
            None => x,
        };
        let squares = (x.clone() * x.clone()).mean_dim(1);
        let gain = self.with_trained(&layer.gain, layer.trained_gain.as_ref())?;
        let y = x / squares.add_scalar(layer.eps).sqrt() * gain;
        Ok(match &layer.bias {
            Some(bias) => y + self.with_trained(bias, layer.trained_bias.as_ref())?,
            None => y,
        }
        .reshape([rows, dim]))
    }

    fn add_stream_norm(
        &mut self,
        x: &Tensor<2>,
        residual: &Tensor<2>,
        layer: &StreamNorm<Tensor<2>>,
    ) -> Result<(Tensor<2>, Tensor<2>), EngineError> {
        let sum = x.clone() + residual.clone();
        let normalized = self.stream_norm(&sum, layer)?;
        Ok((sum, normalized))
    }

    fn rotate(
        &mut self,
        q: Tensor<2>,
        k: Tensor<2>,
        rotary: &Rotary,
    ) -> Result<(Tensor<2>, Tensor<2>), EngineError> {
        let [cosines, sines] = self.angles(rotary)?;
        let half = rotary.head_dim / 2;
        let turned = |x: Tensor<2>| {
            let [rows, columns] = x.dims();
            expect("columns beyond whole heads", 0, columns % rotary.head_dim)?;
            let heads = x.reshape([rows, columns / rotary.head_dim, rotary.head_dim]);
            let lower = heads.clone().narrow(2, 0, half);
            let upper = heads.narrow(2, half, half);
            let parts = vec![
                lower.clone() * cosines.clone() - upper.clone() * sines.clone(),
                upper * cosines.clone() + lower * sines.clone(),
            ];
            Ok::<_, EngineError>(Tensor::cat(parts, 2).reshape([rows, columns]))
        };
        Ok((turned(q)?, turned(k)?))
    }

    fn swiglu(&mut self, gate: &Tensor<2>, up: &Tensor<2>) -> Result<Tensor<2>, EngineError> {
        Ok(gate.clone() * sigmoid(gate.clone()) * up.clone())
    }

    /// All logits of the scored rows at once: the reference is not meant for large vocabularies.
    fn language_loss(
        &mut self,
        hidden: &Tensor<2>,
        head: &LanguageHead<Tensor<2>>,
        labels: &[u32],
        weights: Option<&[f32]>,
    ) -> Result<(), EngineError> {
        let [rows, _] = hidden.dims();
        expect("labels", rows, labels.len())?;
        let weight = match head {
            LanguageHead::Separate(weight) => weight.clone(),
            LanguageHead::Tied(word) => word.clone().transpose(),
        };
        checks::labels(labels, weight.dims()[1])?;
        let (places, labels): (Vec<u32>, Vec<u32>) = (0..)
            .zip(labels.iter().copied())
            .filter(|(_, label)| *label != NOT_SCORED)
            .unzip();
        let hidden = hidden.clone().select(0, indices(&places, &self.device));
        let own = indices(&labels, &self.device).reshape([labels.len(), 1]);
        let own = log_softmax(hidden.matmul(weight), 1).gather(1, own);
        let loss = match weights {
            None => own.mean(),
            Some(weights) => {
                expect("weights of rows", rows, weights.len())?;
                let of_scored: Vec<f32> = places.iter().map(|p| weights[*p as usize]).collect();
                let data = TensorData::new(of_scored, [places.len(), 1]);
                (own * Tensor::<2>::from_data(data, &self.device)).sum()
            }
        }
        .neg();
        self.step_mut()?.loss = Some(loss);
        Ok(())
    }
}
