//! The engine of this module, by feature.

use crate::engine::EngineError;

#[cfg(feature = "wgsl")]
mod choice {
    use super::EngineError;
    use crate::engine::record::Recorded;
    use crate::engine::wgsl::WgslKernels;

    pub(in crate::api) type DeviceEngine = Recorded<WgslKernels>;

    pub(in crate::api) async fn open_engine() -> Result<DeviceEngine, EngineError> {
        Ok(Recorded::new(WgslKernels::open().await?))
    }
}

#[cfg(all(feature = "cpu", not(feature = "wgsl")))]
mod choice {
    use super::EngineError;
    use crate::engine::cpu::CpuKernels;
    use crate::engine::record::Recorded;

    pub(in crate::api) type DeviceEngine = Recorded<CpuKernels>;

    pub(in crate::api) async fn open_engine() -> Result<DeviceEngine, EngineError> {
        Ok(Recorded::new(CpuKernels::new()))
    }
}

#[cfg(all(feature = "burn", not(any(feature = "wgsl", feature = "cpu"))))]
mod choice {
    use super::EngineError;
    use crate::engine::burn::BurnEngine;

    pub(in crate::api) type DeviceEngine = BurnEngine;

    #[cfg(feature = "burn-wgpu")]
    pub(in crate::api) async fn open_engine() -> Result<DeviceEngine, EngineError> {
        BurnEngine::webgpu().await
    }

    #[cfg(not(feature = "burn-wgpu"))]
    pub(in crate::api) async fn open_engine() -> Result<DeviceEngine, EngineError> {
        Ok(BurnEngine::flex())
    }
}

pub(super) use choice::{DeviceEngine, open_engine};
