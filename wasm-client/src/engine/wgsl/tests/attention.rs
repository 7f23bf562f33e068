//! Attention and its gradients.

use super::super::super::AttentionMask;
use super::super::super::kernels::{AttentionCall, AttentionGradient, Kernels};
use super::*;

struct Reference {
    out: Vec<f64>,
    d_q: Vec<f64>,
    d_k: Vec<f64>,
    d_v: Vec<f64>,
}

/// Attention row by row, as its definition says.
fn reference(
    [q, k, v, d_out]: [&[f64]; 4],
    starts: &[u32],
    [heads, kv_heads, head_dim]: [usize; 3],
    mask: AttentionMask,
) -> Reference {
    let (queries, keys) = (vec![0.0; q.len()], vec![0.0; k.len()]);
    let mut r = Reference {
        out: queries.clone(),
        d_q: queries,
        d_k: keys.clone(),
        d_v: keys,
    };
    let at = |row: usize, head: usize| (row * heads + head) * head_dim;
    let key_at = |row: usize, head: usize| (row * kv_heads + head * kv_heads / heads) * head_dim;
    let scale = 1.0 / (head_dim as f64).sqrt();
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    for ends in starts.windows(2) {
        for (row, head) in
            (ends[0] as usize..ends[1] as usize).flat_map(|row| (0..heads).map(move |h| (row, h)))
        {
            let i = at(row, head)..at(row, head) + head_dim;
            let last = if mask == AttentionMask::Causal {
                row + 1
            } else {
                ends[1] as usize
            };
            let keys: Vec<_> = (ends[0] as usize..last)
                .map(|key| key_at(key, head)..key_at(key, head) + head_dim)
                .collect();
            let scores: Vec<_> = keys
                .iter()
                .map(|j| (scale * dot(&q[i.clone()], &k[j.clone()])).exp())
                .collect();
            let sum: f64 = scores.iter().sum();
            for (j, score) in keys.iter().zip(&scores) {
                j.clone()
                    .zip(i.clone())
                    .for_each(|(j, i)| r.out[i] += score / sum * v[j]);
            }
            let delta = dot(&d_out[i.clone()], &r.out[i.clone()]);
            for (j, score) in keys.iter().zip(&scores) {
                let p = score / sum;
                let d_score = scale * p * (dot(&d_out[i.clone()], &v[j.clone()]) - delta);
                for (i, j) in i.clone().zip(j.clone()) {
                    r.d_q[i] += d_score * k[j];
                    r.d_k[j] += d_score * q[i];
                    r.d_v[j] += p * d_out[i];
                }
            }
        }
    }
    r
}

fn check(
    kernels: &mut WgslKernels,
    lengths: &[u32],
    [heads, kv_heads, head_dim]: [usize; 3],
    mask: AttentionMask,
) {
    let batch = batch(lengths, 1);
    let (rows, dim, key_dim) = (batch.rows(), heads * head_dim, kv_heads * head_dim);
    kernels.begin(&batch).unwrap();
    let mut values = Values(dim as u32);
    let inputs = [dim, key_dim, key_dim, dim].map(|columns| {
        let values = values.take(rows * columns);
        values.iter().map(|value| 2.0 * value).collect::<Vec<_>>()
    });
    let [q, k, v, d_out] = [0, 1, 2, 3].map(|i| put(kernels, &inputs[i], rows));
    let [out, d_q] = [(); 2].map(|()| scratch(kernels, rows, dim));
    let [d_k, d_v] = [(); 2].map(|()| scratch(kernels, rows, key_dim));
    let statistics = scratch(kernels, rows, 2 * heads);
    let call = || AttentionCall {
        q: &q,
        k: &k,
        v: &v,
        out: &out,
        statistics: &statistics,
        heads,
        kv_heads,
        head_dim,
        mask,
        rows,
    };
    kernels.attention(call()).unwrap();
    kernels
        .attention_gradient(AttentionGradient {
            forward: call(),
            d_out: &d_out,
            d_q: &d_q,
            d_k: &d_k,
            d_v: &d_v,
        })
        .unwrap();
    let [q, k, v, d_out] = [0, 1, 2, 3].map(|i| wide(&inputs[i]));
    let expected = reference(
        [&q, &k, &v, &d_out],
        &batch.row_starts(),
        [heads, kv_heads, head_dim],
        mask,
    );
    for (name, buffer, expected) in [
        ("out", &out, expected.out),
        ("d_q", &d_q, expected.d_q),
        ("d_k", &d_k, expected.d_k),
        ("d_v", &d_v, expected.d_v),
    ] {
        let what = format!("{name} {lengths:?} {heads}/{kv_heads}x{head_dim} {mask:?}");
        assert_near(&get(kernels, buffer, expected.len()), &expected, &what);
    }
}

#[test]
fn attention_stays_within_sequences_of_any_length() {
    on_device(|kernels| {
        for mask in [AttentionMask::Bidirectional, AttentionMask::Causal] {
            check(kernels, &[4, 1, 7, 13], [3, 3, 32], mask);
            check(kernels, &[64, 33], [2, 2, 64], mask);
        }
    });
}

#[test]
fn attention_of_small_and_large_heads() {
    on_device(|kernels| {
        check(kernels, &[5, 2], [2, 2, 4], AttentionMask::Causal);
        if kernels.tuning == Tuning::HARDWARE {
            check(kernels, &[9], [1, 1, 128], AttentionMask::Bidirectional);
        }
    });
}

#[test]
fn heads_of_a_group_share_keys_and_values() {
    on_device(|kernels| {
        check(kernels, &[4, 1, 19], [6, 2, 8], AttentionMask::Causal);
        check(kernels, &[3, 10], [4, 1, 16], AttentionMask::Bidirectional);
    });
}
