//! Device buffers, and the pool that scratch comes from and goes back to.

use std::collections::HashMap;
use std::rc::Rc;

use wgpu::BufferUsages;

use super::super::EngineError;
use super::super::checks::{self, Room};
use super::super::quantised::Integers;
use super::device::Device;

/// The number of every placeholder; real buffers are counted from 1.
const PLACEHOLDER: u64 = 0;

/// f32 (or u32) storage on the device, or a quantised matrix; cheap to clone.
#[derive(Clone, Debug)]
pub struct GpuBuffer {
    pub(super) id: u64,
    pub(super) raw: wgpu::Buffer,
    /// Where it begins in `raw`, in bytes; zero unless it is a part of another one.
    pub(super) offset: u64,
    /// Values it holds, or may hold.
    pub(super) len: usize,
    /// Its rows where it was uploaded as a matrix, else zero.
    pub(super) rows: usize,
    /// Where it holds a quantised matrix; `len` is 0 then.
    pub(super) scales: Option<Rc<Scales>>,
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
    /// A buffer of a rehearsal: a length, nothing behind it. No kernel is ever given one.
    pub(super) fn placeholder(raw: &wgpu::Buffer, len: usize) -> Self {
        Self {
            id: PLACEHOLDER,
            raw: raw.clone(),
            offset: 0,
            len,
            rows: 0,
            scales: None,
        }
    }

    /// True if it is one of those.
    pub(super) fn is_placeholder(&self) -> bool {
        self.id == PLACEHOLDER
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
        let Some(scales) = &self.scales else {
            return self.expect(what, shape[0] * shape[1]);
        };
        checks::length(what, shape[0], scales.shape[0])?;
        checks::length(what, shape[1], scales.shape[1])
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
}

/// Makes buffers, counts their bytes, keeps those that came back.
#[derive(Default)]
pub(super) struct Memory {
    next_id: u64,
    held: u64,
    peak: u64,
    free: HashMap<u64, Vec<GpuBuffer>>,
}

impl Memory {
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
        let raw = device.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(what),
            size: bytes,
            usage,
            mapped_at_creation: false,
        });
        self.next_id += 1;
        self.held += bytes;
        self.peak = self.peak.max(self.held);
        Ok(GpuBuffer {
            id: self.next_id,
            raw,
            offset: 0,
            len: (bytes / 4) as usize,
            rows: 0,
            scales: None,
        })
    }

    /// Storage for `len` values out of the pool, or new.
    pub(super) fn take(&mut self, device: &Device, len: usize) -> Result<GpuBuffer, EngineError> {
        let class = size_class(len as u64);
        if let Some(buffer) = self.free.get_mut(&class).and_then(Vec::pop) {
            return Ok(buffer);
        }
        self.create(device, "scratch", class as usize, storage())
    }

    /// Takes storage back for the next [`Self::take`] of its size.
    pub(super) fn give_back(&mut self, buffer: GpuBuffer) {
        self.free.entry(buffer.len as u64).or_default().push(buffer);
    }

    /// Destroys a buffer that no queued work uses.
    pub(super) fn destroy(&mut self, buffer: &GpuBuffer) {
        self.held = self.held.saturating_sub(buffer.raw.size());
        buffer.raw.destroy();
    }

    /// Most bytes held since the last [`Self::restart_peak`].
    pub(super) fn peak(&self) -> u64 {
        self.peak
    }

    pub(super) fn restart_peak(&mut self) {
        self.peak = self.held;
    }
}

/// How storage is used: by kernels, filled from the host, copied out to be read.
pub(super) fn storage() -> BufferUsages {
    BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC
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
