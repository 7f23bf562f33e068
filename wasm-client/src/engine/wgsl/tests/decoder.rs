//! What only decoders use: their norms, rotary positions, gated unit and loss.

use super::super::super::EngineError;
use super::super::super::decoder::{LanguageHead, NOT_SCORED, Rotary, RotaryScaling};
use super::super::super::kernels::Kernels;
use super::super::super::kernels::decoder::{
    DecoderKernels, LanguageLossCall, Residual, RotateCall, StreamNormCall, StreamNormGradient,
    SwigluCall, SwigluGradient,
};
use super::*;

const EPS: f32 = 1e-5;

#[test]
fn stream_norms_go_with_and_without_a_residual_and_add_to_its_gradient() {
    on_device(|kernels| {
        for (rows, adds) in [(1, false), (7, true), (33, false), (130, true)] {
            for centred in [false, true] {
                stream_norm(kernels, rows, adds, centred);
            }
        }
    });
}

fn stream_norm(kernels: &mut WgslKernels, rows: usize, adds: bool, centred: bool) {
    const DIM: usize = 52;
    let mut values = Values(rows as u32);
    let [x, before, d_y, d_sum] = [(); 4].map(|()| values.take(rows * DIM));
    let (gain, bias) = (values.take(DIM), values.take(DIM));
    let [x_at, before_at, d_y_at, d_x_at] =
        [&x, &before, &d_y, &d_sum].map(|v| put(kernels, v, rows));
    let [gain_at, bias_at] = [&gain, &bias].map(|v| kernels.upload(v, [1, DIM]).unwrap());
    let [sum_at, y_at] = [(); 2].map(|()| scratch(kernels, rows, DIM));
    let rstd_at = scratch(kernels, rows, 1);
    kernels
        .stream_norm(StreamNormCall {
            x: &x_at,
            residual: adds.then_some(Residual {
                before: &before_at,
                sum: &sum_at,
            }),
            gain: &gain_at,
            bias: centred.then_some(&bias_at),
            eps: EPS,
            rstd: &rstd_at,
            y: &y_at,
            rows,
            dim: DIM,
        })
        .unwrap();
    kernels
        .stream_norm_gradient(StreamNormGradient {
            d_y: &d_y_at,
            x: if adds { &sum_at } else { &x_at },
            rstd: &rstd_at,
            gain: &gain_at,
            d_x: &d_x_at,
            centred,
            add: adds,
            rows,
            dim: DIM,
        })
        .unwrap();
    let share = f64::from(u8::from(adds));
    let sums: Vec<f64> = wide(&x)
        .iter()
        .zip(wide(&before))
        .map(|(x, b)| x + share * b)
        .collect();
    let (gain, bias) = (wide(&gain), wide(&bias));
    let (d_y, d_sum) = (wide(&d_y), wide(&d_sum));
    let centre = f64::from(u8::from(centred));
    let (mut y, mut d_x) = (Vec::new(), Vec::new());
    for row in 0..rows {
        let part = row * DIM..(row + 1) * DIM;
        let (s, d_y, d_sum) = (&sums[part.clone()], &d_y[part.clone()], &d_sum[part]);
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / DIM as f64;
        let middle = centre * mean(&mut s.iter().copied());
        let s: Vec<f64> = s.iter().map(|s| s - middle).collect();
        let rstd = 1.0 / (mean(&mut s.iter().map(|s| s * s)) + f64::from(EPS)).sqrt();
        let slope = mean(&mut (0..DIM).map(|c| d_y[c] * gain[c] * s[c] * rstd));
        let level = centre * mean(&mut (0..DIM).map(|c| d_y[c] * gain[c]));
        y.extend((0..DIM).map(|c| s[c] * rstd * gain[c] + centre * bias[c]));
        d_x.extend(
            (0..DIM).map(|c| {
                rstd * (d_y[c] * gain[c] - level - s[c] * rstd * slope) + share * d_sum[c]
            }),
        );
    }
    assert_near(&get(kernels, &y_at, rows * DIM), &y, "norm");
    assert_near(
        &get(kernels, &d_x_at, rows * DIM),
        &d_x,
        "gradient of the norm",
    );
    if adds {
        assert_near(&get(kernels, &sum_at, rows * DIM), &sums, "sum");
    }
}

#[test]
fn rotary_positions_count_in_each_sequence_and_turn_back_to_where_they_were() {
    on_device(|kernels| {
        for head_dim in [4, 12, 64] {
            rotate(kernels, head_dim);
        }
    });
}

fn rotate(kernels: &mut WgslKernels, head_dim: usize) {
    let heads = [3, 1];
    let batch = batch(&[2, 1, 9], 1);
    let rows = batch.rows();
    kernels.begin(&batch).unwrap();
    let rotary = Rotary {
        scaling: RotaryScaling::None,
        base: 100.0,
        head_dim,
    };
    let table = kernels.upload(&rotary.table(16), [16, head_dim]).unwrap();
    let mut values = Values(head_dim as u32);
    let host = heads.map(|heads| values.take(rows * heads * head_dim));
    let [q, k] = [0, 1].map(|i| put(kernels, &host[i], rows));
    let call = |backward, k| RotateCall {
        first: (&q, heads[0] * head_dim),
        second: k,
        table: &table,
        head_dim,
        backward,
        rows,
    };
    kernels
        .rotate(call(false, Some((&k, heads[1] * head_dim))))
        .unwrap();
    let starts = batch.row_starts();
    let positions: Vec<u32> = starts
        .windows(2)
        .flat_map(|ends| 0..ends[1] - ends[0])
        .collect();
    for (which, buffer) in [&q, &k].into_iter().enumerate() {
        let columns = heads[which] * head_dim;
        let expected: Vec<f64> = (0..rows * columns)
            .map(|at| {
                let (row, j) = (at / columns, at % head_dim);
                let half = head_dim / 2;
                let angle = f64::from(positions[row])
                    * 100f64.powf(-2.0 * (j % half) as f64 / head_dim as f64);
                let own = f64::from(host[which][at]);
                let other = if j < half { at + half } else { at - half };
                let sign = if j < half { -1.0 } else { 1.0 };
                own * angle.cos() + sign * f64::from(host[which][other]) * angle.sin()
            })
            .collect();
        let what = format!("turned, head of {head_dim}");
        assert_near(&get(kernels, buffer, expected.len()), &expected, &what);
    }
    kernels.rotate(call(true, None)).unwrap();
    let found = get(kernels, &q, host[0].len());
    assert_near(&found, &wide(&host[0]), "turned there and back");
}

#[test]
fn gated_unit_and_its_gradients() {
    on_device(|kernels| {
        const LEN: usize = 1003;
        let mut values = Values(2);
        let host = [(); 3].map(|()| values.take(LEN).iter().map(|v| 4.0 * v).collect::<Vec<_>>());
        let [gate, up, d_y] = [0, 1, 2].map(|i| put(kernels, &host[i], 1));
        let [y, d_gate, d_up] = [(); 3].map(|()| scratch(kernels, 1, LEN));
        let call = SwigluCall {
            gate: &gate,
            up: &up,
            y: &y,
            len: LEN,
        };
        kernels.swiglu(call).unwrap();
        kernels
            .swiglu_gradient(SwigluGradient {
                gate: &gate,
                up: &up,
                d_y: &d_y,
                d_gate: &d_gate,
                d_up: &d_up,
                len: LEN,
            })
            .unwrap();
        let [g, u, d] = host.map(|values| wide(&values));
        let s: Vec<f64> = g.iter().map(|g| 1.0 / (1.0 + (-g).exp())).collect();
        let each = |f: &dyn Fn(usize) -> f64| (0..LEN).map(f).collect::<Vec<_>>();
        let expected = each(&|i| g[i] * s[i] * u[i]);
        assert_near(&get(kernels, &y, LEN), &expected, "gated");
        let expected = each(&|i| d[i] * u[i] * s[i] * (1.0 + g[i] * (1.0 - s[i])));
        assert_near(&get(kernels, &d_gate, LEN), &expected, "d_gate");
        let expected = each(&|i| d[i] * g[i] * s[i]);
        assert_near(&get(kernels, &d_up, LEN), &expected, "d_up");
    });
}

/// Mean loss of the scored rows, and its gradient by the hidden states.
fn language_loss(
    hidden: &[f64],
    weight: &[f64],
    labels: &[u32],
    weights: Option<&[f32]>,
    [dim, vocabulary]: [usize; 2],
) -> (f64, Vec<f64>) {
    let rows = labels.len();
    let logits = matmul(hidden, weight, [rows, dim, vocabulary]);
    let scored = labels.iter().filter(|label| **label != NOT_SCORED).count() as f64;
    let (mut loss, mut d_logits) = (0.0, vec![0.0; logits.len()]);
    for (row, &label) in labels.iter().enumerate() {
        if label == NOT_SCORED {
            continue;
        }
        let share = weights.map_or(1.0 / scored, |weights| f64::from(weights[row]));
        let part = row * vocabulary..(row + 1) * vocabulary;
        let total: f64 = logits[part.clone()].iter().map(|l| l.exp()).sum();
        loss += (total.ln() - logits[part.start + label as usize]) * share;
        for at in part.clone() {
            d_logits[at] = logits[at].exp() / total * share;
        }
        d_logits[part.start + label as usize] -= share;
    }
    let transposed = transpose(weight, [dim, vocabulary]);
    (
        loss,
        matmul(&d_logits, &transposed, [rows, vocabulary, dim]),
    )
}

#[test]
fn loss_of_the_next_token_in_chunks_also_with_tied_embeddings() {
    whole_and_split(|kernels| {
        const DIM: usize = 20;
        for (lengths, vocabulary) in [(&[1][..], 16), (&[70, 1, 60], 77), (&[100], 260)] {
            let batch = batch(lengths, 1);
            let rows = batch.rows();
            kernels.begin(&batch).unwrap();
            let mut values = Values(vocabulary as u32);
            let (host, weight) = (values.take(rows * DIM), values.take(DIM * vocabulary));
            let word: Vec<f32> = (0..DIM * vocabulary)
                .map(|i| weight[i % DIM * vocabulary + i / DIM])
                .collect();
            let labels: Vec<u32> = (0..rows as u32)
                .map(|row| {
                    if row % 5 == 0 {
                        NOT_SCORED
                    } else {
                        row * 7 % vocabulary as u32
                    }
                })
                .collect();
            let separate = kernels.upload(&weight, [DIM, vocabulary]).unwrap();
            let tied = kernels.upload(&word, [vocabulary, DIM]).unwrap();
            let sizes = [DIM, vocabulary];
            let of_rows: Vec<f32> = (0..rows).map(|row| row as f32 * 0.1 - 0.7).collect();
            let heads = [LanguageHead::Separate(&separate), LanguageHead::Tied(&tied)];
            let cases = heads
                .into_iter()
                .flat_map(|h| [(h.clone(), None), (h, Some(&of_rows[..]))]);
            for (head, weights) in cases {
                let (loss, d_hidden) =
                    language_loss(&wide(&host), &wide(&weight), &labels, weights, sizes);
                let hidden = put(kernels, &host, rows);
                let found = scratch(kernels, rows, DIM);
                kernels
                    .language_loss(LanguageLossCall {
                        hidden: &hidden,
                        head,
                        labels: &labels,
                        weights,
                        d_hidden: Some(&found),
                        dim: DIM,
                        vocabulary,
                    })
                    .unwrap();
                let mean = super::loss(kernels);
                assert_near(&[mean], &[loss], "loss");
                let found = get(kernels, &found, rows * DIM);
                assert_near(&found, &d_hidden, "gradient of the hidden states");
            }
        }
    });
}

#[test]
fn labels_outside_the_vocabulary_and_a_batch_without_any_are_refused() {
    on_device(|kernels| {
        let batch = batch(&[3], 0);
        kernels.begin(&batch).unwrap();
        let hidden = scratch(kernels, 3, 4);
        let weight = kernels.upload(&[0.0; 32], [4, 8]).unwrap();
        let mut loss = |labels: &[u32]| {
            kernels.language_loss(LanguageLossCall {
                hidden: &hidden,
                head: LanguageHead::Separate(&weight),
                labels,
                weights: None,
                d_hidden: None,
                dim: 4,
                vocabulary: 8,
            })
        };
        assert!(loss(&[7, NOT_SCORED, 0]).is_ok());
        assert!(matches!(
            loss(&[8, 1, 1]),
            Err(EngineError::OutOfRange { .. })
        ));
        assert!(matches!(
            loss(&[NOT_SCORED; 3]),
            Err(EngineError::Shape { .. })
        ));
        assert!(matches!(loss(&[1, 1]), Err(EngineError::Shape { .. })));
    });
}
