//! Opening the device, and what it reports by itself: loss and uncaptured errors.

use std::sync::{Arc, Mutex, PoisonError};

use super::super::{DeviceInfo, EngineError};

/// An open device with its queue and limits.
pub(super) struct Device {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) info: DeviceInfo,
    /// Bytes of the largest storage buffer.
    pub(super) largest_buffer: u64,
    /// Bytes of the largest frozen matrix in one buffer, or of a part of it.
    pub(super) largest_matrix: u64,
    /// Distance of two uniforms in their buffer, in bytes.
    pub(super) uniform_stride: u32,
    /// True where lanes run in software.
    pub(super) software: bool,
    faults: Faults,
}

/// The first thing that went wrong outside a call.
#[derive(Clone, Default)]
struct Faults(Arc<Mutex<Option<String>>>);

impl Faults {
    fn report(&self, message: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(message);
    }

    fn first(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Device {
    /// The best adapter there is, with its own limits on buffer sizes.
    pub(super) async fn open() -> Result<Self, EngineError> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::BROWSER_WEBGPU;
        let adapter = wgpu::Instance::new(descriptor)
            .request_adapter(&wgpu::RequestAdapterOptions {
                power_preference: wgpu::PowerPreference::HighPerformance,
                ..Default::default()
            })
            .await
            .map_err(|error| EngineError::NoDevice(error.to_string()))?;
        let granted = adapter.limits();
        let required_limits = wgpu::Limits {
            max_buffer_size: granted.max_buffer_size,
            max_storage_buffer_binding_size: granted.max_storage_buffer_binding_size,
            max_storage_buffers_per_shader_stage: 8,
            ..wgpu::Limits::downlevel_defaults()
        };
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("choir"),
                required_limits,
                ..Default::default()
            })
            .await
            .map_err(|error| EngineError::NoDevice(error.to_string()))?;
        let limits = device.limits();
        let adapter_info = adapter.get_info();
        let faults = Faults::default();
        let report = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            report.report(format!("{reason:?} {message}"));
        });
        let report = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            report.report(error.to_string());
        }));
        let largest_buffer = limits
            .max_buffer_size
            .min(limits.max_storage_buffer_binding_size);
        Ok(Self {
            largest_buffer,
            largest_matrix: largest_buffer,
            uniform_stride: limits.min_uniform_buffer_offset_alignment.max(64),
            software: is_software(&adapter_info),
            info: DeviceInfo {
                kind: kind(&adapter_info),
                adapter: name(&adapter_info, &device),
            },
            device,
            queue,
            faults,
        })
    }

    /// An error once the device was lost or reported something on its own.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        self.faults
            .first()
            .map_or(Ok(()), |message| Err(EngineError::DeviceLost(message)))
    }
}

fn kind(info: &wgpu::AdapterInfo) -> String {
    let kind = match info.backend {
        wgpu::Backend::BrowserWebGpu => "webgpu",
        _ => "vulkan",
    };
    kind.to_owned()
}

fn name(info: &wgpu::AdapterInfo, device: &wgpu::Device) -> String {
    let name = if info.name.is_empty() {
        browser_name(device)
    } else {
        Some(info.name.clone())
    };
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unnamed adapter".to_owned())
}

/// Vendor and architecture: what a browser tells where it tells no name.
#[cfg(target_arch = "wasm32")]
fn browser_name(device: &wgpu::Device) -> Option<String> {
    let of = |object, key: &str| js_sys::Reflect::get(object, &key.into()).ok();
    let info = of(device.as_webgpu()?.as_ref(), "adapterInfo").filter(|info| info.is_object())?;
    let parts = ["vendor", "architecture"].map(|key| of(&info, key)?.as_string());
    Some(
        parts
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
    )
}

#[cfg(not(target_arch = "wasm32"))]
fn browser_name(_: &wgpu::Device) -> Option<String> {
    None
}

/// A browser's software adapter. Natively the large tiles would take a compiler minutes.
fn is_software(info: &wgpu::AdapterInfo) -> bool {
    info.backend == wgpu::Backend::BrowserWebGpu
        && (info.device_type == wgpu::DeviceType::Cpu
            || info.name.to_lowercase().contains("swiftshader"))
}
