//! Shapes and ranges, checked before a kernel sees them.

use super::Value;
pub(super) use crate::engine::checks::length;
use crate::engine::checks::range;
use crate::engine::{
    Batch, EmbeddingTables, EngineError, LinearLayer, NormLayer, Parameter, Weight,
};

/// At least one sequence, none empty, labels for all or for none.
pub(super) fn batch(batch: &Batch) -> Result<(), EngineError> {
    range("number of empty batches", usize::from(batch.is_empty()), 1)?;
    length("first token start", 0, batch.token_starts[0] as usize)?;
    for pair in batch.token_starts.windows(2) {
        range("start of a sequence", pair[0] as usize, pair[1] as usize)?;
    }
    length(
        "tokens",
        batch.token_starts[batch.len()] as usize,
        batch.tokens.len(),
    )?;
    match batch.labels.len() {
        0 => Ok(()),
        labels => length("labels", batch.len(), labels),
    }
}

/// Tokens within the vocabulary, positions within their table.
pub(super) fn embedding<B: Clone>(
    batch: &Batch,
    tables: &EmbeddingTables<Value<B>>,
    prompt: Option<&Parameter>,
    dim: usize,
) -> Result<(), EngineError> {
    for (what, table) in [
        ("columns of the word table", Some(&tables.word)),
        ("columns of the position table", Some(&tables.position)),
        ("columns of the type table", tables.token_type.as_ref()),
    ] {
        length(what, dim, table.map_or(dim, |table| table.shape()[1]))?;
    }
    tokens(batch, &tables.word, prompt)?;
    let before = (batch.past + batch.num_virtual_tokens) as usize;
    for pair in batch.token_starts.windows(2) {
        let last = (before + (pair[1] - pair[0]) as usize).saturating_sub(1);
        range("position", last, tables.position.shape()[0])?;
    }
    Ok(())
}

/// A parameter of this shape, within the adapter.
pub(super) fn parameter(
    what: &str,
    parameter: &Parameter,
    shape: [usize; 2],
    adapter_len: usize,
) -> Result<(), EngineError> {
    for (expected, found) in shape.into_iter().zip(parameter.shape) {
        length(what, expected, found)?;
    }
    length(what, shape[0] * shape[1], parameter.range.len())?;
    range(
        "end of a trained parameter",
        parameter.range.end,
        adapter_len + 1,
    )
}

/// Weight, bias and low-rank part fit the input and each other.
pub(super) fn linear<B: Clone>(
    x: [usize; 2],
    layer: &LinearLayer<Value<B>>,
    adapter_len: usize,
) -> Result<(), EngineError> {
    let [inputs, outputs] = layer.shape;
    let weight = |what: &str, weight: &Weight<Value<B>>, shape: [usize; 2]| match weight {
        Weight::Frozen(value) => length(
            what,
            shape[0] * shape[1],
            value.shape()[0] * value.shape()[1],
        ),
        Weight::Trained(p) => parameter(what, p, shape, adapter_len),
    };
    length("columns of a linear layer's input", inputs, x[1])?;
    weight("weight", &layer.weight, [inputs, outputs])?;
    if let Some(bias) = &layer.bias {
        weight("bias", bias, [1, outputs])?;
    }
    if let Some(bias) = &layer.trained_bias {
        parameter("trained bias", bias, [1, outputs], adapter_len)?;
    }
    if let Some(lora) = &layer.lora {
        let rank = lora.a.shape[1];
        parameter("LoRA factor A", &lora.a, [inputs, rank], adapter_len)?;
        parameter("LoRA factor B", &lora.b, [rank, outputs], adapter_len)?;
    }
    Ok(())
}

/// Input, residual, gain and bias have the same columns.
pub(super) fn norm<B: Clone>(
    x: &Value<B>,
    residual: Option<&Value<B>>,
    layer: &NormLayer<Value<B>>,
) -> Result<(), EngineError> {
    let [rows, dim] = x.shape();
    if let Some(residual) = residual {
        length("rows of the residual", rows, residual.shape()[0])?;
        length("columns of the residual", dim, residual.shape()[1])?;
    }
    length("gain of a norm", dim, layer.gain.shape()[1])?;
    length("bias of a norm", dim, layer.bias.shape()[1])
}

/// Queries, keys and values of the batch's rows, columns in whole heads, heads in whole groups.
pub(super) fn attention<B: Clone>(
    rows: usize,
    q: &Value<B>,
    k: &Value<B>,
    v: &Value<B>,
    heads: usize,
) -> Result<(), EngineError> {
    let (columns, key_columns) = (q.shape()[1], k.shape()[1]);
    for tensor in [q, k, v] {
        length("rows of attention", rows, tensor.shape()[0])?;
    }
    length("columns of the values", key_columns, v.shape()[1])?;
    grouped_heads(columns, key_columns, heads)
}

/// One row of logits per label, each label among the classes.
pub(super) fn logits(batch: &Batch, [rows, classes]: [usize; 2]) -> Result<(), EngineError> {
    length("labels", rows, batch.labels.len())?;
    for &label in &batch.labels {
        range("label", label as usize, classes)?;
    }
    Ok(())
}

/// Columns of queries and of keys in whole heads; every head of keys has as many of queries.
pub(super) fn grouped_heads(
    columns: usize,
    key_columns: usize,
    heads: usize,
) -> Result<(), EngineError> {
    let whole =
        |what: &str, all: usize, part: usize| length(what, 0, all.checked_rem(part).unwrap_or(1));
    whole("columns that make no whole head", columns, heads)?;
    let head_dim = columns / heads;
    whole("columns of keys that make no head", key_columns, head_dim)?;
    whole("heads that make no group", heads, key_columns / head_dim)
}

/// Two tensors of the same rows and columns.
pub(super) fn same_shape<B: Clone>(
    what: &str,
    first: &Value<B>,
    second: &Value<B>,
) -> Result<(), EngineError> {
    let mut shapes = first.shape().into_iter().zip(second.shape());
    shapes.try_for_each(|(expected, found)| length(what, expected, found))
}

/// Tokens within the vocabulary, a prompt as the batch has virtual tokens. Without a prompt they are
/// zero.
pub(super) fn tokens<B: Clone>(
    batch: &Batch,
    word: &Value<B>,
    prompt: Option<&Parameter>,
) -> Result<(), EngineError> {
    let [vocabulary, dim] = word.shape();
    if let Some(prompt) = prompt {
        let virtual_tokens = batch.num_virtual_tokens as usize;
        length("rows of the soft prompt", virtual_tokens, prompt.shape[0])?;
        length("columns of the soft prompt", dim, prompt.shape[1])?;
    }
    batch
        .tokens
        .iter()
        .try_for_each(|&token| range("token id", token as usize, vocabulary))
}
