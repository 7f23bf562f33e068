//! Reading from the device: waiting for a buffer to be mapped.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::EngineError;
use super::WgslKernels;
use super::commands::Copy;
use super::device::Device;
use super::memory::GpuBuffer;

#[derive(Default)]
struct State {
    done: Option<Result<(), String>>,
    waker: Option<Waker>,
}

/// Completes when the map callback was called.
#[derive(Clone, Default)]
struct Mapped(Arc<Mutex<State>>);

impl Mapped {
    fn complete(&self, result: Result<(), String>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.done = Some(result);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl Future for Mapped {
    type Output = Result<(), String>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.done.take() {
            Some(result) => Poll::Ready(result),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl WgslKernels {
    /// Sends off what is queued and reads the first `len` values.
    pub(super) async fn fetch(
        &mut self,
        buffer: &GpuBuffer,
        len: usize,
    ) -> Result<Vec<f32>, EngineError> {
        buffer.expect("values to be read", len)?;
        if len == 0 {
            return Ok(Vec::new());
        }
        self.device.check()?;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self
            .memory
            .create(&self.device, "values to be read", len, usage)?;
        let (from, to) = (buffer, &staging.raw);
        let copy = Copy {
            from,
            to,
            at: 0,
            len,
        };
        self.commands.submit(&self.device, Some(copy));
        self.losses.readbacks += 1;
        let values = read(&self.device, &staging.raw, len).await;
        self.memory.destroy(&staging);
        values
    }
}

/// Maps `staging`, copies out `len` values and unmaps it.
pub(super) async fn read(
    device: &Device,
    staging: &wgpu::Buffer,
    len: usize,
) -> Result<Vec<f32>, EngineError> {
    let mapped = Mapped::default();
    let callback = mapped.clone();
    let bytes = 4 * len as u64;
    staging.map_async(wgpu::MapMode::Read, ..bytes, move |result| {
        callback.complete(result.map_err(|error| error.to_string()));
    });
    // Natively this waits and calls back; in a browser it does nothing.
    device
        .device
        .poll(wgpu::PollType::wait_indefinitely())
        .map_err(|error| EngineError::DeviceLost(error.to_string()))?;
    let result = mapped.await;
    device.check()?;
    result.map_err(EngineError::DeviceLost)?;
    let values = staging
        .get_mapped_range(..bytes)
        .map_err(|error| EngineError::DeviceLost(error.to_string()))
        .map(|view| bytemuck::pod_collect_to_vec(&view[..]))?;
    staging.unmap();
    Ok(values)
}
