//! What is trained beside low-rank updates, recorded: biases of linear layers (Ben Zaken et al. 2022,
//! BitFit), gains and biases of norms, sums, and rows of virtual tokens: trained keys and
//! values (Li and Liang 2021), rows that a prompt encoder made (Liu et al. 2021).

use super::backward::Gradients;
use super::tape::{Entry, StreamNormEntry};
use super::{Recorded, ValueOf, check};
use crate::engine::adapter::AdapterEngine;
use crate::engine::dropout::Dropout;
use crate::engine::kernels::adapter::{NormParametersGradient, VirtualRows};
use crate::engine::kernels::decoder::DecoderKernels;
use crate::engine::{EngineError, Parameter, checks};

impl<K: DecoderKernels> Recorded<K> {
    /// `[1, columns]`: frozen values and what is trained of them, added up.
    pub(super) fn trained_row(
        &mut self,
        frozen: Option<&K::Buffer>,
        trained: &Parameter,
        columns: usize,
    ) -> Result<ValueOf<K>, EngineError> {
        check::parameter("trained vector", trained, [1, columns], self.adapter_len)?;
        let out = self.scratch([1, columns])?;
        self.kernels.trained_values(frozen, trained, out.buffer())?;
        Ok(out)
    }

    /// The same of a norm's vector; the frozen one where nothing of it is trained.
    pub(super) fn norm_row(
        &mut self,
        frozen: &ValueOf<K>,
        trained: Option<&Parameter>,
    ) -> Result<ValueOf<K>, EngineError> {
        match trained {
            Some(trained) => self.trained_row(Some(frozen.buffer()), trained, frozen.shape()[1]),
            None => Ok(frozen.clone()),
        }
    }

    /// Gradients of a norm's own vectors, where any are trained.
    pub(super) fn norm_parameters_gradient(
        &mut self,
        entry: &StreamNormEntry<K::Buffer>,
        d_y: &ValueOf<K>,
    ) -> Result<(), EngineError> {
        let [gain, bias] = entry.trained.each_ref().map(Option::as_ref);
        if gain.is_none() && bias.is_none() {
            return Ok(());
        }
        let [rows, columns] = d_y.shape();
        let dim = entry.gain.shape()[1];
        let products = gain.map(|_| self.scratch([rows, columns])).transpose()?;
        self.kernels
            .norm_parameters_gradient(NormParametersGradient {
                d_y: d_y.buffer(),
                x: entry.normalized.buffer(),
                rstd: entry.rstd.buffer(),
                products: products.as_ref().unwrap_or(d_y).buffer(),
                gain,
                bias,
                centred: entry.centred,
                rows: rows * (columns / dim),
                dim,
            })
    }

    /// Gives the gradient of a sum to its terms. The second gets a copy: others may hold what the first
    /// gets, and the second is added to.
    pub(super) fn replay_add(
        &mut self,
        [x, y]: [Option<usize>; 2],
        d_sum: ValueOf<K>,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        if let Some(y) = y {
            let [rows, columns] = d_sum.shape();
            let (d_y, add) = self.target(y, [rows, columns], gradients)?;
            self.kernels
                .add(d_sum.buffer(), d_y.buffer(), add, rows * columns)?;
            gradients[y] = Some(d_y);
        }
        match x {
            Some(x) => self.accumulate(x, d_sum, gradients),
            None => Ok(()),
        }
    }

    pub(super) fn replay_dropout(
        &mut self,
        input: usize,
        dropout: Dropout,
        d_y: &ValueOf<K>,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        let shape = d_y.shape();
        let (d_x, add) = self.target(input, shape, gradients)?;
        let len = shape[0] * shape[1];
        self.kernels
            .dropout(d_y.buffer(), dropout, d_x.buffer(), add, len)?;
        gradients[input] = Some(d_x);
        Ok(())
    }

    pub(super) fn replay_replaced_rows(
        &mut self,
        input: Option<usize>,
        rows: &Parameter,
        d_y: ValueOf<K>,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        self.kernels.prompt_gradient(d_y.buffer(), rows)?;
        let Some(input) = input else { return Ok(()) };
        let d_x = self.writable(d_y)?;
        let columns = d_x.shape()[1];
        self.kernels
            .virtual_rows(d_x.buffer(), VirtualRows::Zero, columns)?;
        self.accumulate(input, d_x, gradients)
    }

    pub(super) fn replay_added_rows(
        &mut self,
        input: Option<usize>,
        rows: Option<usize>,
        d_y: ValueOf<K>,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        if let Some(rows) = rows {
            let columns = d_y.shape()[1];
            let d_rows = self.scratch([self.batch.num_virtual_tokens as usize, columns])?;
            self.kernels
                .virtual_rows_gradient(d_y.buffer(), d_rows.buffer(), columns)?;
            self.accumulate(rows, d_rows, gradients)?;
        }
        match input {
            Some(input) => self.accumulate(input, d_y, gradients),
            None => Ok(()),
        }
    }
}

impl<K: DecoderKernels> AdapterEngine for Recorded<K> {
    fn add(&mut self, x: Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor, EngineError> {
        check::same_shape("what is added", &x, y)?;
        let nodes = [x.node(), y.node()];
        let recorded = self.training && nodes.iter().any(Option::is_some);
        let sum = self.writable(x)?;
        let len = sum.shape()[0] * sum.shape()[1];
        self.kernels.add(y.buffer(), sum.buffer(), true, len)?;
        let node = recorded.then_some(self.tape.len());
        if recorded {
            self.tape.push(Entry::Add(nodes), &nodes);
        }
        Ok(sum.remade(node))
    }

    fn dropout(&mut self, x: &Self::Tensor, dropout: Dropout) -> Result<Self::Tensor, EngineError> {
        let input = x.node().filter(|_| self.training);
        let out = self.output(x.shape(), input.is_some())?;
        let len = x.shape()[0] * x.shape()[1];
        self.kernels
            .dropout(x.buffer(), dropout, out.buffer(), false, len)?;
        if let Some(input) = input {
            self.tape
                .push(Entry::Dropout { input, dropout }, &[Some(input)]);
        }
        Ok(out)
    }

    fn trained_rows(&mut self, rows: &Parameter) -> Result<Self::Tensor, EngineError> {
        check::parameter("trained rows", rows, rows.shape, self.adapter_len)?;
        let out = self.output(rows.shape, self.training)?;
        self.kernels.trained_values(None, rows, out.buffer())?;
        if self.training {
            self.tape
                .push(Entry::TrainedRows { rows: rows.clone() }, &[]);
        }
        Ok(out)
    }

    fn replace_virtual_rows(
        &mut self,
        x: Self::Tensor,
        rows: &Parameter,
    ) -> Result<Self::Tensor, EngineError> {
        let [count, columns] = x.shape();
        checks::length("rows with virtual tokens", self.batch.rows(), count)?;
        let shape = [self.batch.num_virtual_tokens as usize, columns];
        check::parameter("virtual rows", rows, shape, self.adapter_len)?;
        let input = x.node();
        let out = self.writable(x)?;
        self.kernels
            .virtual_rows(out.buffer(), VirtualRows::Trained(rows), columns)?;
        let node = self.training.then_some(self.tape.len());
        if self.training {
            let rows = rows.clone();
            self.tape
                .push(Entry::ReplacedRows { input, rows }, &[input]);
        }
        Ok(out.remade(node))
    }

    fn add_virtual_rows(
        &mut self,
        x: Self::Tensor,
        rows: &Self::Tensor,
    ) -> Result<Self::Tensor, EngineError> {
        let [count, columns] = x.shape();
        checks::length("rows with virtual tokens", self.batch.rows(), count)?;
        let virtual_tokens = self.batch.num_virtual_tokens as usize;
        checks::length("virtual rows", virtual_tokens, rows.shape()[0])?;
        checks::length("columns of virtual rows", columns, rows.shape()[1])?;
        let nodes = [x.node(), rows.node()];
        let recorded = self.training && nodes.iter().any(Option::is_some);
        let out = self.writable(x)?;
        let added = VirtualRows::Added(rows.buffer());
        self.kernels.virtual_rows(out.buffer(), added, columns)?;
        let node = recorded.then_some(self.tape.len());
        if recorded {
            let [input, rows] = nodes;
            self.tape.push(Entry::AddedRows { input, rows }, &nodes);
        }
        Ok(out.remade(node))
    }
}
