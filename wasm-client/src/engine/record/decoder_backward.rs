//! A decoder's entries of the record, replayed backwards.

use super::backward::Gradients;
use super::tape::{RotateEntry, StreamNormEntry};
use super::{Recorded, Value, ValueOf};
use crate::engine::EngineError;
use crate::engine::kernels::decoder::{
    DecoderKernels, RotateCall, StreamNormGradient, SwigluGradient,
};

impl<K: DecoderKernels> Recorded<K> {
    /// The gradient along the residual stream and that of the norm, added in one call.
    pub(super) fn replay_stream_norm(
        &mut self,
        node: usize,
        entry: StreamNormEntry<K::Buffer>,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        let d_y = gradients[node].take();
        if let Some(d_y) = &d_y {
            self.norm_parameters_gradient(&entry, d_y)?;
        }
        if !entry.adds {
            let (Some(d_y), Some(x)) = (d_y, entry.x) else {
                return Ok(());
            };
            let (d_x, add) = self.target(x, d_y.shape(), gradients)?;
            self.stream_norm_gradient(&entry, &d_y, &d_x, add)?;
            gradients[x] = Some(d_x);
            return Ok(());
        }
        let d_sum = gradients[node + 1].take();
        let d_x = match (d_y, d_sum) {
            (None, None) => return Ok(()),
            (None, Some(d_sum)) => d_sum,
            (Some(_), _) if entry.x.is_none() && entry.residual.is_none() => return Ok(()),
            (Some(d_y), None) => {
                let d_x = self.scratch(d_y.shape())?;
                self.stream_norm_gradient(&entry, &d_y, &d_x, false)?;
                d_x
            }
            (Some(d_y), Some(d_sum)) => {
                let d_x = self.writable(d_sum)?;
                self.stream_norm_gradient(&entry, &d_y, &d_x, true)?;
                d_x
            }
        };
        self.share(node, [entry.x, entry.residual], d_x, gradients)
    }

    fn stream_norm_gradient(
        &mut self,
        entry: &StreamNormEntry<K::Buffer>,
        d_y: &ValueOf<K>,
        d_x: &ValueOf<K>,
        add: bool,
    ) -> Result<(), EngineError> {
        let [rows, columns] = d_y.shape();
        let dim = entry.gain.shape()[1];
        let rows = rows * (columns / dim);
        self.kernels.stream_norm_gradient(StreamNormGradient {
            d_y: d_y.buffer(),
            x: entry.normalized.buffer(),
            rstd: entry.rstd.buffer(),
            gain: entry.gain.buffer(),
            d_x: d_x.buffer(),
            centred: entry.centred,
            add,
            rows,
            dim,
        })
    }

    /// Gives the gradient of a sum to both of its terms: in one buffer where that is safe.
    fn share(
        &mut self,
        node: usize,
        [x, residual]: [Option<usize>; 2],
        d_x: ValueOf<K>,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        let (Some(x), Some(residual)) = (x, residual) else {
            return match x.or(residual) {
                Some(input) => self.accumulate(input, d_x, gradients),
                None => Ok(()),
            };
        };
        if gradients[residual].is_none() {
            let shared = d_x.clone();
            gradients[residual] = Some(if self.tape.may_alias(node, x, residual) {
                shared
            } else {
                self.writable(shared)?
            });
        } else {
            self.accumulate(residual, d_x.clone(), gradients)?;
        }
        self.accumulate(x, d_x, gradients)
    }

    pub(super) fn replay_rotate(
        &mut self,
        node: usize,
        entry: RotateEntry<K::Buffer>,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        let mut turned: Vec<(usize, ValueOf<K>)> = Vec::with_capacity(2);
        for (output, input) in [(node, entry.q), (node + 1, entry.k)] {
            if let (Some(d_y), Some(input)) = (gradients[output].take(), input) {
                turned.push((input, self.writable(d_y)?));
            }
        }
        let place = |(_, value): &(usize, ValueOf<K>)| (value.clone(), value.shape()[1]);
        let Some((first, columns)) = turned.first().map(place) else {
            return Ok(());
        };
        let second = turned.get(1).map(place);
        self.kernels.rotate(RotateCall {
            first: (first.buffer(), columns),
            second: second
                .as_ref()
                .map(|(value, columns)| (value.buffer(), *columns)),
            table: &entry.table,
            head_dim: entry.head_dim,
            backward: true,
            rows: first.shape()[0],
        })?;
        drop((first, second));
        turned
            .into_iter()
            .try_for_each(|(input, d_x)| self.accumulate(input, d_x, gradients))
    }

    pub(super) fn replay_swiglu(
        &mut self,
        gate: &ValueOf<K>,
        up: &ValueOf<K>,
        d_y: &ValueOf<K>,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        let d_inputs = [self.scratch(gate.shape())?, self.scratch(up.shape())?];
        self.kernels.swiglu_gradient(SwigluGradient {
            gate: gate.buffer(),
            up: up.buffer(),
            d_y: d_y.buffer(),
            d_gate: d_inputs[0].buffer(),
            d_up: d_inputs[1].buffer(),
            len: gate.shape()[0] * gate.shape()[1],
        })?;
        let nodes = [gate, up].map(Value::node);
        for (input, d_input) in nodes.into_iter().zip(d_inputs) {
            if let Some(input) = input {
                self.accumulate(input, d_input, gradients)?;
            }
        }
        Ok(())
    }
}
