//! The tables of a batch that kernels look things up in.

use super::super::{Batch, EngineError, checks};
use super::WgslKernels;
use super::device::Device;
use super::memory::{GpuBuffer, Memory};

/// A batch as the kernels see it; four values per entry.
pub(super) struct Tables {
    /// Per row: token id or the virtual token's number, 1 if virtual, position, sequence.
    pub(super) rows: Vec<u32>,
    /// Per sequence: first row, end, label, virtual tokens.
    pub(super) sequences: Vec<u32>,
    /// Per block of rows of one sequence: first row, end, the sequence's first row, its end.
    pub(super) blocks: Vec<u32>,
    /// Largest token id, position, label and virtual token, for checks against the tables' sizes.
    pub(super) largest: Largest,
}

/// The largest values of a batch; `None` where there is none.
#[derive(Clone, Copy, Default)]
pub(super) struct Largest {
    pub(super) token: Option<u32>,
    pub(super) position: Option<u32>,
    pub(super) label: Option<u32>,
    pub(super) virtual_token: Option<u32>,
}

impl Largest {
    /// An error where the largest value is not below `limit`.
    pub(super) fn check(
        what: &'static str,
        value: Option<u32>,
        limit: usize,
    ) -> Result<(), EngineError> {
        match value {
            Some(value) => checks::range(what, value as usize, limit),
            None => Ok(()),
        }
    }
}

impl Tables {
    /// Tables with blocks of `block_rows` rows.
    ///
    /// # Errors
    /// `Shape` where starts, tokens and labels do not fit each other.
    pub(super) fn new(batch: &Batch, block_rows: u32) -> Result<Self, EngineError> {
        check(batch)?;
        let starts = batch.row_starts();
        let virtual_tokens = batch.num_virtual_tokens;
        let mut rows = Vec::with_capacity(4 * batch.rows());
        let mut sequences = Vec::with_capacity(4 * batch.len());
        let mut blocks = Vec::new();
        let mut tokens = batch.tokens.iter();
        for (b, ends) in starts.windows(2).enumerate() {
            let (first, end) = (ends[0], ends[1]);
            let label = batch.labels.get(b).copied().unwrap_or(0);
            sequences.extend([first, end, label, virtual_tokens]);
            for position in 0..end - first {
                let is_virtual = position < virtual_tokens;
                let id = if is_virtual {
                    Some(position)
                } else {
                    tokens.next().copied()
                };
                let place = batch.past + position;
                rows.extend([id.unwrap_or(0), u32::from(is_virtual), place, b as u32]);
            }
            for from in (first..end).step_by(block_rows as usize) {
                blocks.extend([from, end.min(from + block_rows), first, end]);
            }
        }
        let largest = Largest {
            token: batch.tokens.iter().max().copied(),
            position: starts
                .windows(2)
                .map(|ends| ends[1] - ends[0])
                .max()
                .map(|n| batch.past + n.max(1) - 1),
            label: batch.labels.iter().max().copied(),
            virtual_token: virtual_tokens.checked_sub(1),
        };
        Ok(Self {
            rows,
            sequences,
            blocks,
            largest,
        })
    }
}

/// The tables of the batch on the device.
pub(super) struct BatchTables {
    pub(super) rows: GpuBuffer,
    pub(super) sequences: GpuBuffer,
    pub(super) blocks: GpuBuffer,
    pub(super) row_labels: GpuBuffer,
    pub(super) row_count: usize,
    pub(super) sequence_count: usize,
    pub(super) block_count: usize,
    pub(super) largest: Largest,
}

impl BatchTables {
    pub(super) fn new(device: &Device, memory: &mut Memory) -> Result<Self, EngineError> {
        let mut table = || memory.take(device, 4);
        Ok(Self {
            rows: table()?,
            sequences: table()?,
            blocks: table()?,
            row_labels: table()?,
            row_count: 0,
            sequence_count: 0,
            block_count: 0,
            largest: Largest::default(),
        })
    }
}

impl WgslKernels {
    /// A table in a buffer that holds it; the old one goes back to the pool where it is too small.
    pub(super) fn fill(
        device: &Device,
        memory: &mut Memory,
        buffer: &mut GpuBuffer,
        values: &[u32],
    ) -> Result<(), EngineError> {
        if values.len() > buffer.len {
            let larger = memory.take_unused(device, values.len())?;
            memory.give_back(core::mem::replace(buffer, larger));
        }
        buffer.write(device, bytemuck::cast_slice(values));
        Ok(())
    }

    pub(super) fn begin_batch(&mut self, batch: &Batch) -> Result<(), EngineError> {
        self.device.check()?;
        let tables = Tables::new(batch, self.tuning.attention_rows)?;
        self.commands.submit(&self.device, None);
        self.commands.restart_counts();
        self.losses.readbacks = 0;
        self.memory.begin_step(batch.rows());
        let on_device = &mut self.batch;
        for (buffer, values) in [
            (&mut on_device.rows, &tables.rows),
            (&mut on_device.sequences, &tables.sequences),
            (&mut on_device.blocks, &tables.blocks),
        ] {
            Self::fill(&self.device, &mut self.memory, buffer, values)?;
        }
        on_device.row_count = batch.rows();
        on_device.sequence_count = batch.len();
        on_device.block_count = tables.blocks.len() / 4;
        on_device.largest = tables.largest;
        Ok(())
    }
}

fn check(batch: &Batch) -> Result<(), EngineError> {
    let shape = |what: &str, expected, found| EngineError::Shape {
        what: what.to_owned(),
        expected,
        found,
    };
    let rising = batch.token_starts.windows(2).all(|ends| ends[0] <= ends[1]);
    let end = batch.token_starts.last().copied().unwrap_or(0) as usize;
    if batch.is_empty() || batch.token_starts[0] != 0 || !rising || end != batch.tokens.len() {
        return Err(shape("sequence starts", batch.tokens.len(), end));
    }
    if !batch.labels.is_empty() && batch.labels.len() != batch.len() {
        return Err(shape("labels", batch.len(), batch.labels.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch {
            tokens: vec![7, 8, 9],
            token_starts: vec![0, 2, 3],
            labels: vec![1, 0],
            num_virtual_tokens: 1,
            past: 0,
        }
    }

    #[test]
    fn virtual_tokens_come_first_and_blocks_stay_within_sequences() {
        let tables = Tables::new(&batch(), 2).unwrap();
        let rows = [
            [0, 1, 0, 0],
            [7, 0, 1, 0],
            [8, 0, 2, 0],
            [0, 1, 0, 1],
            [9, 0, 1, 1],
        ];
        assert_eq!(tables.rows, rows.concat());
        assert_eq!(tables.sequences, [0, 3, 1, 1, 3, 5, 0, 1]);
        assert_eq!(tables.blocks, [0, 2, 0, 3, 2, 3, 0, 3, 3, 5, 3, 5]);
        assert_eq!(tables.largest.position, Some(2));
    }

    #[test]
    fn starts_that_do_not_cover_the_tokens_are_refused() {
        let short = Batch {
            token_starts: vec![0, 2],
            labels: Vec::new(),
            ..batch()
        };
        assert!(matches!(
            Tables::new(&short, 4),
            Err(EngineError::Shape { .. })
        ));
        let labels = Batch {
            labels: vec![1],
            ..batch()
        };
        assert!(matches!(
            Tables::new(&labels, 4),
            Err(EngineError::Shape { .. })
        ));
    }
}
