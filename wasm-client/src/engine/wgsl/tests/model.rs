//! The ends of the model: embedding, prompt, pooling, loss; and what a steady step makes anew.

use super::super::super::kernels::Kernels;
use super::super::super::quantised::{Integers, QuantisedMatrix};
use super::super::super::{EmbeddingTables, Parameter};
use super::*;

const DIM: usize = 12;

fn tables(
    kernels: &mut WgslKernels,
    values: &mut Values,
) -> (EmbeddingTables<GpuBuffer>, [Vec<f32>; 3]) {
    let host = [50, 20, 2].map(|rows| values.take(rows * DIM));
    let [word, position, token_type] = [0, 1, 2].map(|i| {
        kernels
            .upload(&host[i], [host[i].len() / DIM, DIM])
            .unwrap()
    });
    (
        EmbeddingTables {
            word,
            position,
            token_type: Some(token_type),
        },
        host,
    )
}

#[test]
fn embedding_puts_the_prompt_first_and_its_gradient_sums_the_sequences() {
    on_device(|kernels| {
        let mut values = Values(9);
        let (tables, [word, position, token_type]) = tables(kernels, &mut values);
        let prompt = Parameter {
            range: 5..5 + 2 * DIM,
            shape: [2, DIM],
        };
        let flat = values.take(prompt.range.end);
        kernels.load_adapter(&flat).unwrap();
        let batch = batch(&[3, 1, 6], 2);
        kernels.begin(&batch).unwrap();
        let rows = batch.rows();
        let out = scratch(kernels, rows, DIM);
        kernels.embed(&tables, Some(&prompt), &out, DIM).unwrap();
        let starts = batch.row_starts();
        let mut expected = Vec::new();
        let mut tokens = batch.tokens.iter();
        for ends in starts.windows(2) {
            for p in 0..(ends[1] - ends[0]) as usize {
                let row = if p < 2 {
                    &flat[prompt.range.start + p * DIM..][..DIM]
                } else {
                    &word[*tokens.next().unwrap() as usize * DIM..][..DIM]
                };
                expected.extend(row.iter().enumerate().map(|(c, value)| {
                    f64::from(*value) + f64::from(position[p * DIM + c]) + f64::from(token_type[c])
                }));
            }
        }
        assert_near(&get(kernels, &out, rows * DIM), &expected, "embedding");

        let d_x = values.take(rows * DIM);
        let d_x_at = put(kernels, &d_x, rows);
        kernels.prompt_gradient(&d_x_at, &prompt).unwrap();
        let found = gradient(kernels);
        let expected: Vec<_> = (0..2 * DIM)
            .map(|i| {
                starts[..3]
                    .iter()
                    .map(|s| f64::from(d_x[*s as usize * DIM + i]))
                    .sum()
            })
            .collect();
        assert_near(&found[prompt.range], &expected, "prompt gradient");
    });
}

#[test]
fn rows_of_a_quantised_table_are_its_dequantised_rows() {
    whole_and_split(|kernels| {
        for (integers, dim) in [
            (Integers::Int8, 12),
            (Integers::Int4, 12),
            (Integers::Int8, 76),
            (Integers::Int4, 76),
        ] {
            let words = Values(4).take(53 * dim);
            let matrix = QuantisedMatrix::new(&words, [53, dim], integers).unwrap();
            let words = matrix.dequantised();
            let zeros = vec![0.0; 20 * dim];
            let tables = EmbeddingTables {
                word: kernels.upload_quantised(matrix).unwrap(),
                position: kernels.upload(&zeros, [20, dim]).unwrap(),
                token_type: Some(kernels.upload(&zeros[..dim], [1, dim]).unwrap()),
            };
            for lengths in [&[1][..], &[3, 1, 6]] {
                let batch = batch(lengths, 0);
                kernels.begin(&batch).unwrap();
                let out = scratch(kernels, batch.rows(), dim);
                kernels.embed(&tables, None, &out, dim).unwrap();
                let expected: Vec<_> = batch
                    .tokens
                    .iter()
                    .flat_map(|token| wide(&words[*token as usize * dim..][..dim]))
                    .collect();
                let found = get(kernels, &out, expected.len());
                assert_near(&found, &expected, "rows of a quantised table");
            }
        }
    });
}

#[test]
fn token_ids_positions_and_labels_outside_the_tables_are_refused() {
    on_device(|kernels| {
        let (tables, _) = tables(kernels, &mut Values(2));
        for (lengths, token) in [(vec![2_u32, 2], 50), (vec![21], 3)] {
            let mut batch = batch(&lengths, 0);
            batch.tokens[0] = token;
            kernels.begin(&batch).unwrap();
            let out = kernels.allocate(batch.rows(), DIM).unwrap();
            let refused = kernels.embed(&tables, None, &out, DIM);
            assert!(matches!(refused, Err(EngineError::OutOfRange { .. })));
        }
        let batch = Batch {
            labels: vec![3],
            ..batch(&[2], 0)
        };
        kernels.begin(&batch).unwrap();
        let logits = kernels.allocate(1, 3).unwrap();
        let refused = kernels.cross_entropy(&logits, &logits, 3);
        assert!(matches!(
            refused,
            Err(EngineError::OutOfRange { what: "label", .. })
        ));
    });
}

#[test]
fn pooling_counts_real_tokens_only() {
    on_device(|kernels| {
        let mut values = Values(3);
        let batch = batch(&[3, 1, 6], 2);
        kernels.begin(&batch).unwrap();
        let rows = batch.rows();
        let (x, d_out) = (values.take(rows * DIM), values.take(3 * DIM));
        let (x_at, d_out_at) = (put(kernels, &x, rows), put(kernels, &d_out, 3));
        let (out, d_x) = (scratch(kernels, 3, DIM), scratch(kernels, rows, DIM));
        kernels.mean_pool(&x_at, &out, DIM).unwrap();
        kernels.mean_pool_gradient(&d_out_at, &d_x, DIM).unwrap();
        let (mut expected, mut slope) = (vec![0.0; 3 * DIM], vec![0.0; rows * DIM]);
        for (b, ends) in batch.row_starts().windows(2).enumerate() {
            let first = ends[0] + 2;
            let share = 1.0 / f64::from(ends[1] - first);
            for (row, c) in (first..ends[1]).flat_map(|row| (0..DIM).map(move |c| (row, c))) {
                let at = row as usize * DIM + c;
                expected[b * DIM + c] += share * f64::from(x[at]);
                slope[at] = share * f64::from(d_out[b * DIM + c]);
            }
        }
        assert_near(&get(kernels, &out, 3 * DIM), &expected, "pooled");
        assert_near(
            &get(kernels, &d_x, rows * DIM),
            &slope,
            "gradient of pooling",
        );
    });
}

#[test]
fn cross_entropy_and_its_gradient_with_odd_class_counts() {
    on_device(|kernels| {
        for (classes, sequences) in [(3, 5), (77, 8), (77, 70)] {
            let batch = batch(&vec![1; sequences], 0);
            kernels.begin(&batch).unwrap();
            let logits: Vec<_> = Values(classes as u32)
                .take(sequences * classes)
                .iter()
                .map(|value| 20.0 * value)
                .collect();
            let logits_at = put(kernels, &logits, sequences);
            let d_logits = scratch(kernels, sequences, classes);
            kernels
                .cross_entropy(&logits_at, &d_logits, classes)
                .unwrap();
            let found = loss(kernels);
            let (mut loss, mut expected) = (0.0, Vec::new());
            for (b, row) in wide(&logits).chunks(classes).enumerate() {
                let sum: f64 = row.iter().map(|value| value.exp()).sum();
                let label = batch.labels[b] as usize;
                loss += (sum.ln() - row[label]) / sequences as f64;
                expected.extend(row.iter().enumerate().map(|(c, value)| {
                    (value.exp() / sum - f64::from(u8::from(c == label))) / sequences as f64
                }));
            }
            assert_near(&[found], &[loss], "loss");
            let found = get(kernels, &d_logits, sequences * classes);
            assert_near(&found, &expected, "gradient of the logits");
        }
    });
}

#[test]
fn the_second_step_takes_one_submit_and_no_new_memory() {
    on_device(|kernels| {
        let (tables, _) = tables(kernels, &mut Values(2));
        let batch = batch(&[3, 5], 0);
        let mut counts = Vec::new();
        for _ in 0..3 {
            kernels.begin(&batch).unwrap();
            let out = kernels.allocate(batch.rows(), DIM).unwrap();
            let pooled = kernels.allocate(2, DIM).unwrap();
            let d_logits = kernels.allocate(2, DIM).unwrap();
            kernels.embed(&tables, None, &out, DIM).unwrap();
            kernels.mean_pool(&out, &pooled, DIM).unwrap();
            kernels.cross_entropy(&pooled, &d_logits, DIM).unwrap();
            loss(kernels);
            for buffer in [out, pooled, d_logits] {
                kernels.release(buffer);
            }
            counts.push(kernels.counts());
        }
        assert_eq!((counts[1].dispatches, counts[1].submits), (3, 1));
        assert_eq!(counts[0], counts[2]);
    });
}
