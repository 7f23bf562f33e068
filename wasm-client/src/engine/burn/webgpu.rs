//! burn's GPU device, through burn-wgpu.
//!
//! burn-wgpu keeps one runtime per process and refuses to set it up twice, so it is made once and
//! shared by every engine.

use std::sync::OnceLock;

use burn::tensor::Device;
use burn_wgpu::graphics::AutoGraphicsApi;
use burn_wgpu::{RuntimeOptions, WgpuDevice, WgpuInitError, WgpuSetup, wgpu};

use super::{BurnEngine, DeviceInfo, EngineError};

static SHARED: OnceLock<Result<DeviceInfo, String>> = OnceLock::new();

impl BurnEngine {
    /// On the machine's GPU: WebGPU in a tab, Vulkan and its like elsewhere.
    ///
    /// # Errors
    ///
    /// [`EngineError::NoDevice`] where there is none.
    pub async fn webgpu() -> Result<Self, EngineError> {
        match shared().await {
            Ok(info) => Ok(Self::on(Device::from(WgpuDevice::default()), info.clone())),
            Err(reason) => Err(EngineError::NoDevice(reason.clone())),
        }
    }
}

#[cfg(not(target_family = "wasm"))]
async fn shared() -> &'static Result<DeviceInfo, String> {
    SHARED.get_or_init(|| {
        described(RuntimeOptions::try_default().and_then(|options| {
            burn_wgpu::try_init_setup::<AutoGraphicsApi>(&WgpuDevice::default(), options)
        }))
    })
}

#[cfg(target_family = "wasm")]
async fn shared() -> &'static Result<DeviceInfo, String> {
    if let Some(shared) = SHARED.get() {
        return shared;
    }
    let setup = match RuntimeOptions::try_default() {
        Ok(options) => {
            let device = WgpuDevice::default();
            burn_wgpu::try_init_setup_async::<AutoGraphicsApi>(&device, options).await
        }
        Err(error) => Err(error),
    };
    SHARED.get_or_init(|| described(setup))
}

fn described(setup: Result<WgpuSetup, WgpuInitError>) -> Result<DeviceInfo, String> {
    let setup = setup.map_err(|error| error.to_string())?;
    let kind = match setup.backend {
        wgpu::Backend::BrowserWebGpu => "webgpu",
        wgpu::Backend::Vulkan => "vulkan",
        other => other.to_str(),
    };
    Ok(DeviceInfo {
        kind: kind.into(),
        adapter: setup.adapter.get_info().name,
    })
}
