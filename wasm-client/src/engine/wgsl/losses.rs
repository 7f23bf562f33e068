//! Losses on their way to the host: each step leaves a copy behind, and many steps' copies are read
//! in one piece.

use super::super::EngineError;
use super::WgslKernels;
use super::commands::Copy;
use super::device::Device;
use super::memory::{GpuBuffer, Memory};
use super::readback;

/// Values that a buffer of unread losses has room for at least.
const LEAST_ROOM: usize = 4096;

/// Where the parts of one step's loss wait.
struct Unread {
    /// Which buffer.
    staging: usize,
    start: usize,
    len: usize,
}

/// The loss of the step under way, and those of earlier steps that were not read yet.
pub(super) struct Losses {
    /// Parts of the loss, which the kernels write, and how many there are.
    pub(super) parts: GpuBuffer,
    pub(super) len: usize,
    /// Mapped to be read; more than one only where the first was too small.
    stagings: Vec<GpuBuffer>,
    /// Values in the last of them.
    used: usize,
    unread: Vec<Unread>,
    /// Buffers read since the counts were started anew.
    pub(super) readbacks: u32,
}

impl Losses {
    pub(super) fn new(device: &Device, memory: &mut Memory) -> Result<Self, EngineError> {
        Ok(Self {
            parts: memory.take(device, 4)?,
            len: 1,
            stagings: Vec::new(),
            used: 0,
            unread: Vec::new(),
            readbacks: 0,
        })
    }

    /// Room for so many parts of the loss of the step under way.
    pub(super) fn expect_parts(
        &mut self,
        device: &Device,
        memory: &mut Memory,
        parts: usize,
    ) -> Result<(), EngineError> {
        self.len = parts;
        if parts > self.parts.len {
            let larger = memory.take(device, parts)?;
            memory.give_back(core::mem::replace(&mut self.parts, larger));
        }
        Ok(())
    }

    /// A place for the loss of the step under way.
    fn place(&mut self, device: &Device, memory: &mut Memory) -> Result<Copy<'_>, EngineError> {
        let len = self.len;
        let fits = |staging: &GpuBuffer| self.used + len <= staging.len;
        if !self.stagings.last().is_some_and(fits) {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let room = (4 * len).max(LEAST_ROOM);
            self.stagings
                .push(memory.create(device, "losses to be read", room, usage)?);
            self.used = 0;
        }
        let (staging, start) = (self.stagings.len() - 1, self.used);
        self.unread.push(Unread {
            staging,
            start,
            len,
        });
        self.used += len;
        Ok(Copy {
            from: &self.parts,
            to: &self.stagings[staging].raw,
            at: start,
            len,
        })
    }
}

impl WgslKernels {
    pub(super) fn send_step(&mut self) -> Result<(), EngineError> {
        self.device.check()?;
        let copy = self.losses.place(&self.device, &mut self.memory)?;
        self.commands.submit(&self.device, Some(copy));
        Ok(())
    }

    pub(super) async fn fetch_losses(&mut self) -> Result<Vec<f32>, EngineError> {
        let unread = core::mem::take(&mut self.losses.unread);
        let mut buffers = Vec::new();
        for (place, staging) in self.losses.stagings.iter().enumerate() {
            let ends = unread.iter().filter(|loss| loss.staging == place);
            let len = ends.map(|loss| loss.start + loss.len).max().unwrap_or(0);
            if len > 0 {
                self.losses.readbacks += 1;
                buffers.push(readback::read(&self.device, &staging.raw, len).await?);
            } else {
                buffers.push(Vec::new());
            }
        }
        // The last is the largest that was needed.
        let stagings = &mut self.losses.stagings;
        let before = stagings.len().saturating_sub(1);
        for staging in stagings.drain(..before) {
            self.memory.destroy(&staging);
        }
        self.losses.used = 0;
        let sum = |loss: &Unread| {
            let parts = &buffers[loss.staging][loss.start..loss.start + loss.len];
            parts.iter().map(|part| f64::from(*part)).sum::<f64>() as f32
        };
        Ok(unread.iter().map(sum).collect())
    }
}
