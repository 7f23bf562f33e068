//! What a step's forward pass leaves behind for its gradients.

use super::remake::Saved;
use super::value::Value;
use crate::engine::dropout::Dropout;
use crate::engine::{Activation, AttentionMask, LinearLayer, Parameter};

/// One forward operation whose output has a gradient, with what that gradient needs.
///
/// Inputs are named by the entry that made them; `None` where no gradient is wanted.
pub(super) enum Entry<B: Clone> {
    Embedding {
        prompt: Parameter,
    },
    Linear(LinearEntry<B>),
    Norm {
        x: Option<usize>,
        residual: Option<usize>,
        gain: Value<B>,
        normalized: Value<B>,
        rstd: Value<B>,
    },
    Attention {
        q: Value<B>,
        k: Value<B>,
        v: Value<B>,
        out: Value<B>,
        statistics: Value<B>,
        heads: usize,
        mask: AttentionMask,
    },
    Activation {
        input: Option<usize>,
        x: Saved<B>,
        kind: Activation,
    },
    MeanPool {
        input: usize,
        shape: [usize; 2],
    },
    StreamNorm(StreamNormEntry<B>),
    Rotate(RotateEntry<B>),
    Swiglu {
        gate: Value<B>,
        up: Value<B>,
    },
    /// A trained matrix.
    TrainedRows {
        rows: Parameter,
    },
    /// Virtual tokens replaced by trained rows.
    ReplacedRows {
        input: Option<usize>,
        rows: Parameter,
    },
    /// Rows added to virtual tokens.
    AddedRows {
        input: Option<usize>,
        rows: Option<usize>,
    },
    /// Some values left out.
    Dropout {
        input: usize,
        dropout: Dropout,
    },
    /// A sum; its terms.
    Add([Option<usize>; 2]),
    /// Stands for the second output of the entry before.
    SecondOutput,
}

/// Where the gradient of the loss sets out: what the last operation before it read (logits, or
/// hidden states), and the entry that made that.
pub(super) struct Loss<B: Clone> {
    pub(super) node: Option<usize>,
    pub(super) gradient: Option<Value<B>>,
}

/// A linear layer.
pub(super) struct LinearEntry<B: Clone> {
    pub(super) input: Option<usize>,
    /// Kept only if a trained part of this layer has its gradient from it.
    pub(super) x: Option<Saved<B>>,
    pub(super) layer: LinearLayer<B>,
    pub(super) low_rank: Option<Value<B>>,
    /// The first entry of the layers that were recorded together; they lie side by side.
    pub(super) group: usize,
    /// `scale·d_y·Bᵀ`, once a later layer of the group has had it made with its own.
    pub(super) d_low_rank: Option<Value<B>>,
}

/// A norm beside the residual stream. With a residual its second output is the sum.
pub(super) struct StreamNormEntry<B: Clone> {
    pub(super) x: Option<usize>,
    pub(super) residual: Option<usize>,
    /// Whether there is a second output.
    pub(super) adds: bool,
    /// What was normalized: the input or the sum.
    pub(super) normalized: Value<B>,
    pub(super) rstd: Value<B>,
    /// What is trained of it added.
    pub(super) gain: Value<B>,
    /// What is trained of gain and bias.
    pub(super) trained: [Option<Parameter>; 2],
    /// Whether it is a layer norm.
    pub(super) centred: bool,
}

/// Rotary positions; the outputs are the queries and the keys.
pub(super) struct RotateEntry<B: Clone> {
    pub(super) q: Option<usize>,
    pub(super) k: Option<usize>,
    pub(super) table: B,
    pub(super) head_dim: usize,
}

/// The entries of a step in order, and who uses whose output.
pub(super) struct Tape<B: Clone> {
    entries: Vec<Entry<B>>,
    /// For each entry, the entries that use its output.
    uses: Vec<Vec<usize>>,
}

impl<B: Clone> Tape<B> {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            uses: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.uses.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Appends an entry that uses the outputs of `inputs`.
    pub(super) fn push(&mut self, entry: Entry<B>, inputs: &[Option<usize>]) {
        for input in inputs.iter().flatten() {
            self.uses[*input].push(self.entries.len());
        }
        self.entries.push(entry);
        self.uses.push(Vec::new());
    }

    /// As [`Self::push`], for an entry with two outputs.
    pub(super) fn push_pair(&mut self, entry: Entry<B>, inputs: &[Option<usize>]) {
        self.push(entry, inputs);
        self.push(Entry::SecondOutput, &[]);
    }

    /// Takes the last entry off, with its index.
    pub(super) fn pop(&mut self) -> Option<(usize, Entry<B>)> {
        let entry = self.entries.pop()?;
        Some((self.entries.len(), entry))
    }

    /// The linear layer that this entry is, if it is one.
    pub(super) fn linear_mut(&mut self, node: usize) -> Option<&mut LinearEntry<B>> {
        match self.entries.get_mut(node) {
            Some(Entry::Linear(entry)) => Some(entry),
            _ => None,
        }
    }

    /// True if `x` and `residual`, both read by the norm at `norm`, may share one gradient buffer:
    /// nothing else adds to the gradient of `x`, and what adds to that of `residual` comes, in
    /// backward order, after the entry that made `x` has read it.
    pub(super) fn may_alias(&self, norm: usize, x: usize, residual: usize) -> bool {
        let only = |uses: &[usize]| uses.iter().all(|&user| user == norm);
        x != residual
            && only(&self.uses[x])
            && self.uses[residual]
                .iter()
                .all(|&user| user == norm || user < x)
    }
}
