//! Device buffers, and the pool that scratch comes from and goes back to.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use wgpu::BufferUsages;

use super::super::EngineError;
use super::super::checks::{self, Room};
use super::super::quantised::Integers;
use super::device::Device;
use super::split::Parts;

/// Set in the number of every placeholder; real buffers are counted from 1.
const PLACEHOLDER: u64 = 1 << 63;

/// f32 (or u32) storage on the device, or a quantised matrix; cheap to clone.
#[derive(Clone, Debug)]
pub struct GpuBuffer {
    pub(super) id: u64,
    pub(super) raw: wgpu::Buffer,
    /// Bytes of `raw`, or those that a placeholder stands for.
    pub(super) bytes: u64,
    /// Where it begins in `raw`, in bytes; zero unless it is a part of another one.
    pub(super) offset: u64,
    /// Values it holds, or may hold.
    pub(super) len: usize,
    /// Its rows where it was uploaded as a matrix, else zero.
    pub(super) rows: usize,
    /// Where it holds a quantised matrix; `len` is 0 then.
    pub(super) scales: Option<Rc<Scales>>,
    /// Where it is a matrix in several buffers; `len` is 0 then.
    pub(super) split: Option<Rc<Parts>>,
}

/// What the numbers of a quantised matrix stand for.
#[derive(Debug)]
pub(super) struct Scales {
    pub(super) integers: Integers,
    /// `[rows, columns]` of the matrix.
    pub(super) shape: [usize; 2],
    /// `[groups, rows]`, rows in whole blocks.
    pub(super) values: GpuBuffer,
}

impl GpuBuffer {
    /// True if it is of a rehearsal: a length, nothing behind it. No kernel is ever given one.
    pub(super) fn is_placeholder(&self) -> bool {
        self.id & PLACEHOLDER != 0
    }

    /// Fills its beginning from the host, before whatever is sent off next.
    pub(super) fn write(&self, device: &Device, bytes: &[u8]) {
        if !self.is_placeholder() {
            device.queue.write_buffer(&self.raw, 0, bytes);
        }
    }

    /// Its part from the value `start` on; the caller sees to it that a binding may begin there.
    pub(super) fn starting_at(&self, start: usize) -> Self {
        Self {
            offset: self.offset + 4 * start as u64,
            len: self.len.saturating_sub(start),
            ..self.clone()
        }
    }

    /// All of it, for a bind group.
    pub(super) fn binding(&self) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.raw,
            offset: self.offset,
            size: None,
        })
    }

    /// An error unless `values` fit.
    pub(super) fn expect(&self, what: &'static str, values: usize) -> Result<(), EngineError> {
        checks::room(what, self, values)
    }

    /// As [`Self::expect`], for a matrix of this shape that may be quantised.
    pub(super) fn expect_matrix(
        &self,
        what: &'static str,
        shape: [usize; 2],
    ) -> Result<(), EngineError> {
        let Some(found) = self.shape() else {
            return self.expect(what, shape[0] * shape[1]);
        };
        checks::length(what, shape[0], found[0])?;
        checks::length(what, shape[1], found[1])
    }

    /// `[rows, columns]` of a matrix that is split or quantised.
    fn shape(&self) -> Option<[usize; 2]> {
        let split = self.split.as_ref().map(|split| split.shape);
        split.or_else(|| self.scales.as_ref().map(|scales| scales.shape))
    }

    /// The numbers it holds; none for f32.
    pub(super) fn integers(&self) -> Option<Integers> {
        self.scales.as_ref().map(|scales| scales.integers)
    }
}

impl Room for GpuBuffer {
    fn room(&self) -> usize {
        self.len
    }

    fn values(&self) -> usize {
        self.shape()
            .map_or(self.len, |[rows, columns]| rows * columns)
    }
}

/// Makes buffers, counts their bytes, keeps those that came back.
///
/// A step takes what the steps before left, or a larger piece of it, and one of more rows than any
/// before begins anew: batches of many lengths take no more than the longest of them alone.
#[derive(Default)]
pub(super) struct Memory {
    next_id: u64,
    held: u64,
    peak: u64,
    frozen: u64,
    /// Came back in this step, by the length that they were taken for.
    free: HashMap<u64, Vec<GpuBuffer>>,
    /// Not used in this step yet, by their bytes. No work that is still to be sent off uses them.
    left: BTreeMap<u64, Vec<GpuBuffer>>,
    /// Most rows that a step had since [`Self::begin_anew`].
    longest: usize,
    /// In a rehearsal, what stands behind every buffer: none is made then, they are only counted.
    stand_in: Option<wgpu::Buffer>,
}

impl Memory {
    /// The memory of a rehearsal, in which `kept` is held from the start.
    pub(super) fn of_rehearsal(kept: &GpuBuffer) -> Self {
        Self {
            next_id: PLACEHOLDER,
            held: kept.bytes,
            peak: kept.bytes,
            stand_in: Some(kept.raw.clone()),
            ..Self::default()
        }
    }

    /// A new buffer for `len` values that is never given back to the pool.
    pub(super) fn create(
        &mut self,
        device: &Device,
        what: &'static str,
        len: usize,
        usage: BufferUsages,
    ) -> Result<GpuBuffer, EngineError> {
        let bytes = (len.max(4) as u64 * 4).next_multiple_of(16);
        if bytes > device.largest_buffer {
            let limit = device.largest_buffer;
            return Err(EngineError::TooLarge {
                what: what.to_owned(),
                bytes,
                limit,
            });
        }
        let raw = self.stand_in.clone().unwrap_or_else(|| {
            device.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(what),
                size: bytes,
                usage,
                mapped_at_creation: false,
            })
        });
        self.next_id += 1;
        self.held += bytes;
        self.peak = self.peak.max(self.held);
        Ok(GpuBuffer {
            id: self.next_id,
            raw,
            bytes,
            offset: 0,
            len: (bytes / 4) as usize,
            rows: 0,
            scales: None,
            split: None,
        })
    }

    /// As [`Self::create`], for values that stay.
    pub(super) fn create_frozen(
        &mut self,
        device: &Device,
        what: &'static str,
        len: usize,
    ) -> Result<GpuBuffer, EngineError> {
        let buffer = self.create(device, what, len, storage())?;
        self.frozen += buffer.bytes;
        Ok(buffer)
    }

    /// Storage for `len` values out of the pool, or new.
    pub(super) fn take(&mut self, device: &Device, len: usize) -> Result<GpuBuffer, EngineError> {
        let class = class(device, len);
        if let Some(buffer) = self.free.get_mut(&class).and_then(Vec::pop) {
            return Ok(buffer);
        }
        self.take_unused(device, len)
    }

    /// As [`Self::take`], but no work that is still to be sent off uses it: it may be written from
    /// the host.
    pub(super) fn take_unused(
        &mut self,
        device: &Device,
        len: usize,
    ) -> Result<GpuBuffer, EngineError> {
        let len = class(device, len) as usize;
        let fitting = self.left.range_mut(4 * len as u64..);
        if let Some(buffer) = fitting.filter_map(|(_, left)| left.pop()).next() {
            return Ok(GpuBuffer { len, ..buffer });
        }
        self.make_room(4 * len as u64);
        self.create(device, "scratch", len, storage())
    }

    /// Takes storage back for the next [`Self::take`] of its size.
    pub(super) fn give_back(&mut self, buffer: GpuBuffer) {
        self.free.entry(buffer.len as u64).or_default().push(buffer);
    }

    /// Begins a step of so many rows, for which everything that came back is there. All work was
    /// sent off.
    pub(super) fn begin_step(&mut self, rows: usize) {
        // Short rows in what long ones left waste nothing that the long ones did not need. The other
        // way about the narrow tensors would take the place of the wide ones.
        if rows > self.longest {
            self.begin_anew();
            self.longest = rows;
        }
        for buffer in self.free.drain().flat_map(|(_, buffers)| buffers) {
            self.left.entry(buffer.bytes).or_default().push(buffer);
        }
        self.peak = self.held;
    }

    /// Destroys everything that came back. All work was sent off.
    pub(super) fn begin_anew(&mut self) {
        let free = core::mem::take(&mut self.free).into_values();
        let left = core::mem::take(&mut self.left).into_values();
        for buffer in free.chain(left).flatten() {
            self.destroy(&buffer);
        }
        self.longest = 0;
    }

    /// Destroys what is left of earlier steps, the smallest first, for as many bytes.
    fn make_room(&mut self, bytes: u64) {
        let mut freed = 0;
        while freed < bytes {
            let Some(mut smallest) = self.left.first_entry() else {
                break;
            };
            match smallest.get_mut().pop() {
                Some(buffer) => {
                    freed += buffer.bytes;
                    self.destroy(&buffer);
                }
                None => drop(smallest.remove()),
            }
        }
    }

    /// Destroys a buffer that no queued work uses.
    pub(super) fn destroy(&mut self, buffer: &GpuBuffer) {
        self.held = self.held.saturating_sub(buffer.bytes);
        if !buffer.is_placeholder() {
            buffer.raw.destroy();
        }
    }

    /// Most bytes held since the last [`Self::begin_step`].
    pub(super) fn peak(&self) -> u64 {
        self.peak
    }

    /// Bytes of what stays.
    pub(super) fn frozen(&self) -> u64 {
        self.frozen
    }
}

/// How storage is used: by kernels, filled from the host, copied out to be read.
pub(super) fn storage() -> BufferUsages {
    BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC
}

/// What is taken for `len` values: its size class, or as much as the device grants.
fn class(device: &Device, len: usize) -> u64 {
    let most = (device.largest_buffer / 16 * 4).max(len as u64);
    size_class(len as u64).min(most)
}

/// The next of eight sizes per octave, a multiple of 64 values.
fn size_class(len: u64) -> u64 {
    let step = (len.max(512).next_power_of_two() / 16).max(64);
    len.max(64).next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::size_class;

    #[test]
    fn size_classes_hold_their_length_and_waste_at_most_an_eighth() {
        for len in (1..200_000).step_by(37) {
            let class = size_class(len);
            assert!(class >= len && class.is_multiple_of(4));
            assert!(len < 512 || class - len <= len / 8 + 1, "{len} {class}");
            assert_eq!(size_class(class), class, "{len}");
        }
    }
}
