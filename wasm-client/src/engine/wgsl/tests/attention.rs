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
    [heads, head_dim]: [usize; 2],
    mask: AttentionMask,
) -> Reference {
    let zero = vec![0.0; q.len()];
    let mut r = Reference {
        out: zero.clone(),
        d_q: zero.clone(),
        d_k: zero.clone(),
        d_v: zero,
    };
    let at = |row: usize, head: usize| (row * heads + head) * head_dim;
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
                .map(|key| at(key, head)..at(key, head) + head_dim)
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
    [heads, head_dim]: [usize; 2],
    mask: AttentionMask,
) {
    let batch = batch(lengths, 1);
    let (rows, dim) = (batch.rows(), heads * head_dim);
    kernels.begin(&batch).unwrap();
    let mut values = Values(dim as u32);
    let inputs: [Vec<f32>; 4] = core::array::from_fn(|_| {
        values
            .take(rows * dim)
            .iter()
            .map(|value| 2.0 * value)
            .collect()
    });
    let [q, k, v, d_out] = [0, 1, 2, 3].map(|i| put(kernels, &inputs[i], rows));
    let [out, d_q, d_k, d_v] = [(); 4].map(|()| scratch(kernels, rows, dim));
    let log_sum_exp = scratch(kernels, rows, heads);
    let delta = scratch(kernels, rows, heads);
    let call = || AttentionCall {
        q: &q,
        k: &k,
        v: &v,
        out: &out,
        log_sum_exp: &log_sum_exp,
        heads,
        head_dim,
        mask,
        rows,
    };
    kernels.attention(call()).unwrap();
    kernels
        .attention_gradient(AttentionGradient {
            forward: call(),
            d_out: &d_out,
            delta: &delta,
            d_q: &d_q,
            d_k: &d_k,
            d_v: &d_v,
        })
        .unwrap();
    let [q, k, v, d_out] = [0, 1, 2, 3].map(|i| wide(&inputs[i]));
    let expected = reference(
        [&q, &k, &v, &d_out],
        &batch.row_starts(),
        [heads, head_dim],
        mask,
    );
    for (name, buffer, expected) in [
        ("out", &out, expected.out),
        ("d_q", &d_q, expected.d_q),
        ("d_k", &d_k, expected.d_k),
        ("d_v", &d_v, expected.d_v),
    ] {
        let what = format!("{name} {lengths:?} {heads}x{head_dim} {mask:?}");
        assert_near(&get(kernels, buffer, rows * dim), &expected, &what);
    }
}

#[test]
fn attention_stays_within_sequences_of_any_length() {
    on_device(|kernels| {
        for mask in [AttentionMask::Bidirectional, AttentionMask::Causal] {
            check(kernels, &[4, 1, 7, 13], [3, 32], mask);
            check(kernels, &[64, 33], [2, 64], mask);
        }
    });
}

#[test]
fn attention_of_small_and_large_heads() {
    on_device(|kernels| {
        check(kernels, &[5, 2], [2, 4], AttentionMask::Causal);
        if kernels.tuning == Tuning::HARDWARE {
            check(kernels, &[9], [1, 128], AttentionMask::Bidirectional);
        }
    });
}
