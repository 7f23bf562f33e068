//! Products into low-rank parts, several in a dispatch.

use super::super::super::LoraFactors;
use super::super::super::kernels::{Kernels, LowRankCall, LowRankWay};
use super::linear::{SCALE, parameter};
use super::*;

#[test]
fn low_rank_parts_of_any_sizes_share_a_dispatch() {
    // Rows, each part's columns before and ranks, dispatches.
    let cases: [(usize, &[[usize; 2]], u32); 6] = [
        (1, &[[4, 1]], 1),
        (13, &[[64, 8], [64, 3]], 1),
        (33, &[[36, 5], [64, 8], [8, 17]], 1),
        (7, &[[4, 2]; 5], 2),
        (5, &[[30, 4], [64, 4]], 2),
        (64, &[[1, 1], [3, 9]], 2),
    ];
    on_device(|kernels| {
        for way in [LowRankWay::Forward, LowRankWay::Backward] {
            for (rows, parts, dispatches) in cases {
                let found = low_rank_parts(kernels, way, rows, parts);
                assert_eq!(found, dispatches, "{rows} {parts:?}");
            }
        }
    });
}

/// Multiplies parts of `[columns, rank]` together, checks them, and yields the dispatches.
fn low_rank_parts(
    kernels: &mut WgslKernels,
    way: LowRankWay,
    rows: usize,
    parts: &[[usize; 2]],
) -> u32 {
    let mut values = Values(rows as u32);
    let mut start = 3;
    let loras: Vec<_> = parts
        .iter()
        .map(|&[columns, rank]| {
            let a = parameter(start, [columns, rank]);
            let b = parameter(a.range.end, [rank, columns]);
            start = b.range.end;
            let scale = SCALE;
            LoraFactors { a, b, scale }
        })
        .collect();
    let flat = values.take(start);
    kernels.load_adapter(&flat).unwrap();
    let inputs: Vec<_> = parts
        .iter()
        .map(|part| values.take(rows * part[0]))
        .collect();
    let places: Vec<_> = inputs
        .iter()
        .zip(parts)
        .map(|(x, part)| (put(kernels, x, rows), scratch(kernels, rows, part[1])))
        .collect();
    let calls: Vec<_> = loras
        .iter()
        .zip(&places)
        .map(|(lora, (x, low_rank))| LowRankCall { lora, x, low_rank })
        .collect();
    let before = kernels.counts().dispatches;
    kernels.low_rank(way, &calls, rows).unwrap();
    let dispatches = kernels.counts().dispatches - before;
    let all = loras.iter().zip(&inputs).zip(&places).zip(parts);
    for (((lora, x), (_, low_rank)), &[columns, rank]) in all {
        let factor = match way {
            LowRankWay::Forward => wide(&flat[lora.a.range.clone()]),
            LowRankWay::Backward => {
                let b = wide(&flat[lora.b.range.clone()]);
                let turned = transpose(&b, [rank, columns]);
                turned.iter().map(|v| v * f64::from(SCALE)).collect()
            }
        };
        let expected = matmul(&wide(x), &factor, [rows, columns, rank]);
        let found = get(kernels, low_rank, rows * rank);
        assert_near(
            &found,
            &expected,
            &format!("{way:?} {rows} {columns} {rank}"),
        );
    }
    dispatches
}
