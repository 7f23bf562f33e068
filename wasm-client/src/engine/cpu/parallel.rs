//! Work on whole rows, over all cores natively. A tab's module has one thread.

use rayon::prelude::*;

use crate::engine::EngineError;

/// Values that one task works on at least.
const GRAIN: usize = 16_384;

/// Calls `work` with pieces of the two slices, cut at the same places.
pub(super) fn map_pieces(
    output: &mut [f32],
    input: &[f32],
    work: impl Fn(&mut [f32], &[f32]) + Sync,
) {
    if rayon::current_num_threads() == 1 {
        return work(output, input);
    }
    output
        .par_chunks_mut(GRAIN)
        .zip(input.par_chunks(GRAIN))
        .for_each(|(output, input)| work(output, input));
}

/// Runs every task, in any order.
pub(super) fn for_each<T: Send>(
    tasks: Vec<T>,
    work: impl Fn(T) -> Result<(), EngineError> + Sync + Send,
) -> Result<(), EngineError> {
    if rayon::current_num_threads() == 1 {
        return tasks.into_iter().try_for_each(work);
    }
    tasks.into_par_iter().try_for_each(work)
}

/// Cuts `values` where sequences begin, `columns` values a row.
pub(super) fn by_sequence<'a>(
    mut values: &'a mut [f32],
    row_starts: &[u32],
    columns: usize,
) -> Vec<&'a mut [f32]> {
    let mut pieces = Vec::with_capacity(row_starts.len());
    for pair in row_starts.windows(2) {
        let (piece, rest) = values.split_at_mut((pair[1] - pair[0]) as usize * columns);
        pieces.push(piece);
        values = rest;
    }
    pieces
}
