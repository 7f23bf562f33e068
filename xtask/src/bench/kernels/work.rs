//! What a call of a kernel must compute and move, by its name and the words of its uniform
//! (`wasm-client/src/engine/wgsl`).
//!
//! Arithmetic is counted for products and attention: two for each multiplication with addition. Bytes
//! are those of every value that must be read or written, once each.

use super::session::Call;

/// Bytes of a value.
const VALUE: f64 = 4.0;

/// What a call must do.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Work {
    pub(super) name: String,
    pub(super) shape: String,
    /// Zero where it is not worth counting.
    pub(super) flop: f64,
    /// Zero where it is not known.
    pub(super) bytes: f64,
}

impl Work {
    /// Of this call; of an unknown kernel only the name.
    pub(super) fn of(call: &Call) -> Self {
        let words: Vec<f64> = call.words.iter().map(|word| f64::from(*word)).collect();
        let known = (words.len() >= 16).then(|| known(call, &words)).flatten();
        known.unwrap_or_else(|| Self::moving(&call.label, String::new(), 0.0))
    }

    /// One that only moves so many values.
    fn moving(name: &str, shape: String, values: f64) -> Self {
        Self {
            name: name.to_owned(),
            shape,
            flop: 0.0,
            bytes: VALUE * values,
        }
    }
}

fn known(call: &Call, words: &[f64]) -> Option<Work> {
    let label = &call.label[..];
    let kind = label.split(['(', ' ']).next().unwrap_or_default();
    let vectors = |tensors: f64| 4.0 * words[0] * tensors;
    let rows = |tensors: f64| 4.0 * words[0] * words[1] * tensors;
    let rows_shape = || format!("{}x{}", words[0], 4.0 * words[1]);
    let len_shape = || format!("{}", 4.0 * words[0]);
    let with_sum = words[2];
    let (name, shape, values) = match kind {
        "Product" => return Some(product(label, words)),
        "Small" => return Some(small(label, words)),
        "LowRank" => return Some(low_rank(label, words)),
        "ReduceRows" => return Some(reduce_rows(words)),
        "Attention" => return attention(call, words),
        "Norm" => ("norm", rows_shape(), rows(3.0 + with_sum)),
        "NormOutput" => ("norm made again", len_shape(), vectors(2.0)),
        "NormGradient" => ("norm gradient", rows_shape(), rows(3.0 + with_sum)),
        "Activation" => ("activation", len_shape(), vectors(2.0)),
        "ActivationGradient" | "ActivationGradientInPlace" => {
            ("activation gradient", len_shape(), vectors(3.0))
        }
        "Embed" => ("embedding", len_shape(), vectors(3.0)),
        "MeanPool" => ("mean pool", len_shape(), 0.0),
        "MeanPoolGradient" => ("mean pool gradient", len_shape(), vectors(1.0)),
        "CrossEntropy" => {
            let shape = format!("{}x{}", words[0], words[1]);
            ("cross entropy", shape, 2.0 * words[0] * words[1])
        }
        "AdamW" => ("AdamW", len_shape(), vectors(7.0)),
        "Decoder" => return decoder(label, words),
        _ => return None,
    };
    Some(Work::moving(name, shape, values))
}

/// `Product`: n/4, k/4, adds, rows, rank.
fn product(label: &str, words: &[f64]) -> Work {
    let [n, k, adds, rows, rank] = [4.0 * words[0], 4.0 * words[1], words[2], words[3], words[4]];
    let transposed = label.contains("transposed: true");
    let way = if transposed {
        "input gradient"
    } else {
        "forward"
    };
    let lora = if rank > 0.0 { " and low rank" } else { "" };
    let again = if transposed { adds * rows * n } else { 0.0 };
    Work {
        name: format!("product {way}{lora}"),
        shape: format!("{rows}x{k}x{n}{}", of_rank(rank)),
        flop: 2.0 * rows * n * (k + rank),
        bytes: VALUE * (rows * k + k * n + rows * n + again + rank * (rows + n)),
    }
}

fn of_rank(rank: f64) -> String {
    if rank > 0.0 {
        format!(" rank {rank}")
    } else {
        String::new()
    }
}

/// `Small`: rows, n, k.
fn small(label: &str, words: &[f64]) -> Work {
    let [rows, n, k] = [words[0], words[1], words[2]];
    let transposed = label.contains("transposed: true");
    let way = if transposed {
        "input gradient"
    } else {
        "forward"
    };
    Work {
        name: format!("small product {way}"),
        shape: format!("{rows}x{k}x{n}"),
        flop: 2.0 * rows * n * k,
        bytes: VALUE * (rows * k + k * n + rows * n),
    }
}

/// `LowRank`: rows, then columns/4, rank, place and scale of each part.
fn low_rank(label: &str, words: &[f64]) -> Work {
    let rows = words[0];
    let way = if label.contains("way: Backward") {
        "backward"
    } else {
        "forward"
    };
    let parts = number_after(label, "parts: ").unwrap_or(1.0) as usize;
    let mut work = Work {
        name: format!("low rank {way}"),
        shape: format!("{parts} of {rows}x{}{}", 4.0 * words[1], of_rank(words[2])),
        flop: 0.0,
        bytes: 0.0,
    };
    for part in words[1..].chunks_exact(4).take(parts) {
        let [columns, rank] = [4.0 * part[0], part[1]];
        work.flop += 2.0 * rows * columns * rank;
        work.bytes += VALUE * (rows * columns + columns * rank + rows * rank);
    }
    work
}

/// `ReduceRows`: rows, groups, whether either sum has a column of ones, then j, n, place, strides and
/// scale of each.
fn reduce_rows(words: &[f64]) -> Work {
    let rows = words[0];
    let mut work = Work {
        name: "weight gradient".to_owned(),
        shape: format!("{rows}"),
        flop: 0.0,
        bytes: 0.0,
    };
    for (ones, sum) in words[2..4].iter().zip(words[4..].chunks_exact(6)) {
        let [j, n] = [sum[0], sum[1]];
        if n > 0.0 {
            work.shape += &format!(" {j}x{n}");
        }
        work.flop += 2.0 * rows * j * n;
        work.bytes += VALUE * (rows * j * (1.0 - ones) + rows * n + j * n);
    }
    work
}

/// `Attention`: heads, causal, blocks, scale, heads to a head of keys.
fn attention(call: &Call, words: &[f64]) -> Option<Work> {
    let [heads, group] = [words[0], words[4].max(1.0)];
    let head_dim = number_after(&call.label, "head_dim: ")?;
    let (mut rows, mut pairs) = (0.0, 0.0);
    for block in call.blocks.as_ref()?.chunks_exact(4) {
        for row in block[0]..block[1] {
            rows += 1.0;
            let seen = if call.words[1] == 0 {
                block[3]
            } else {
                row + 1
            };
            pairs += f64::from(seen - block[2]);
        }
    }
    let [queries, keys] = [rows * heads * head_dim, rows * heads / group * head_dim];
    let statistics = 2.0 * rows * heads;
    // Products over all pairs of a row and a row it sees, and tensors like the queries and the keys.
    let (name, products, tensors) = if call.label.contains("pass: Forward") {
        ("attention forward", 2.0, [2.0, 2.0])
    } else if call.label.contains("pass: Query") {
        ("attention gradient of queries", 3.0, [4.0, 2.0])
    } else {
        ("attention gradient of keys", 4.0, [2.0, 4.0])
    };
    Some(Work {
        name: name.to_owned(),
        shape: format!("{rows}x{heads}x{head_dim}"),
        flop: 2.0 * products * pairs * heads * head_dim,
        bytes: VALUE * (tensors[0] * queries + tensors[1] * keys + statistics),
    })
}

fn decoder(label: &str, words: &[f64]) -> Option<Work> {
    let inner = label.strip_prefix("Decoder(")?;
    let kind = inner.split(['(', ')', ' ']).next().unwrap_or_default();
    let adds = f64::from(u8::from(label.contains("adds: true")));
    let rows_shape = format!("{}x{}", words[0], 4.0 * words[1]);
    let len_shape = format!("{}", 4.0 * words[0]);
    let rows = 4.0 * words[0] * words[1];
    let (name, shape, values) = match kind {
        "EmbedTokens" => ("embedding", len_shape, 8.0 * words[0]),
        "StreamNorm" if adds > 0.0 => ("norm of a sum", rows_shape, 4.0 * rows),
        "StreamNorm" => ("norm", rows_shape, 2.0 * rows),
        "StreamNormGradient" => ("norm gradient", rows_shape, (3.0 + words[2]) * rows),
        "Rotate" => {
            // Two parts of a head, of four columns or of two, read and written.
            let columns = if label.contains("true") { 4.0 } else { 2.0 };
            let values = 2.0 * columns * words[0];
            ("rotate", format!("{values}"), 2.0 * values)
        }
        "Swiglu" => ("gated unit", len_shape, 12.0 * words[0]),
        "SwigluGradient" => ("gated unit gradient", len_shape, 20.0 * words[0]),
        "LanguageLoss" => {
            let shape = format!("{}x{}", words[0], words[1]);
            ("language loss", shape, 2.0 * words[0] * words[1])
        }
        _ => return None,
    };
    Some(Work::moving(name, shape, values))
}

fn number_after(label: &str, name: &str) -> Option<f64> {
    let rest = &label[label.find(name)? + name.len()..];
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(label: &str, words: &[u32], blocks: Option<Vec<u32>>) -> Work {
        let mut padded = words.to_vec();
        padded.resize(16, 0);
        Work::of(&Call {
            label: label.to_owned(),
            words: padded,
            blocks,
            count: 1,
            ms: Vec::new(),
        })
    }

    #[test]
    fn a_product_counts_its_low_rank_part() {
        let label = "Product(Product { transposed: false, integers: None, rows: 12, columns: 16 })";
        let found = work(label, &[64, 32, 1, 512, 8], None);
        assert_eq!(found.name, "product forward and low rank");
        assert_eq!(found.shape, "512x128x256 rank 8");
        assert_eq!(found.flop, 2.0 * 512.0 * 256.0 * 136.0);
        let values = 512 * 128 + 128 * 256 + 512 * 256 + 8 * (512 + 256);
        assert_eq!(found.bytes, 4.0 * f64::from(values));
    }

    #[test]
    fn attention_counts_the_pairs_that_see_each_other() {
        let label = "Attention(Attention { pass: Forward, head_dim: 8, rows: 1, streamed: 1 })";
        // Sequences of two rows and of one.
        let blocks = vec![0, 1, 0, 2, 1, 2, 0, 2, 2, 3, 2, 3];
        let all = work(label, &[4, 0, 3, 0, 2], Some(blocks.clone()));
        assert_eq!(all.flop, 4.0 * 5.0 * 4.0 * 8.0);
        let causal = work(label, &[4, 1, 3, 0, 2], Some(blocks));
        assert_eq!(causal.flop, 4.0 * 4.0 * 4.0 * 8.0);
        // Queries and result of four heads, keys and values of two, statistics.
        assert_eq!(causal.bytes, 4.0 * f64::from(2 * 3 * 32 + 2 * 3 * 16 + 24));
    }

    #[test]
    fn gradients_of_weights_are_two_sums() {
        let found = work("ReduceRows", &[10, 1, 0, 1, 8, 16, 5, 1, 1, 1, 1, 16], None);
        assert_eq!(found.flop, 2.0 * 10.0 * f64::from(8 * 16 + 16));
        assert_eq!(found.bytes, 4.0 * f64::from(80 + 160 + 128 + 160 + 16));
        assert_eq!(found.shape, "10 8x16 1x16");
    }

    #[test]
    fn an_unknown_kernel_keeps_its_name_and_claims_nothing() {
        let found = work("Decoder(KeepRows)", &[1], None);
        assert_eq!(found, Work::moving("Decoder(KeepRows)", String::new(), 0.0));
    }
}
