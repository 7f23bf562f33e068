//! Rehearsals: what a step asks of the device, noted before there is a model. It is the same code
//! that runs, on memory that is only counted.
//!
//! A rehearsal says which pipelines are needed, to be made before they are. A browser makes them on threads of its own, asked for by
//! `createComputePipelineAsync`; wgpu has no such call, so it is made on the device beneath. What
//! wgpu asks for later with the same text and the same layout the browser finds made: equal
//! pipelines of a device are one, as long as somebody holds it.

use super::super::{EngineError, MemoryPlan, Preparation};
use super::WgslKernels;
use super::batch::BatchTables;
use super::commands::Commands;
use super::device::Device;
use super::losses::Losses;
use super::memory::{GpuBuffer, Memory};
use super::shader::Shader;
use super::trained::Adapter;

/// Memory, and what is in it beside the model.
pub(super) struct Held {
    pub(super) memory: Memory,
    pub(super) adapter: Adapter,
    pub(super) batch: BatchTables,
    pub(super) losses: Losses,
}

impl Held {
    /// An empty adapter and empty tables in this memory.
    pub(super) fn new(device: &Device, mut memory: Memory) -> Result<Self, EngineError> {
        Ok(Self {
            adapter: Adapter::new(device, &mut memory, &[])?,
            batch: BatchTables::new(device, &mut memory)?,
            losses: Losses::new(device, &mut memory)?,
            memory,
        })
    }
}

impl WgslKernels {
    fn exchange(&mut self, held: Held) -> Held {
        Held {
            memory: core::mem::replace(&mut self.memory, held.memory),
            adapter: core::mem::replace(&mut self.adapter, held.adapter),
            batch: core::mem::replace(&mut self.batch, held.batch),
            losses: core::mem::replace(&mut self.losses, held.losses),
        }
    }

    /// From here on nothing is computed or sent off, and what memory is taken is only counted.
    pub(super) fn put_aside(&mut self) -> Result<(), EngineError> {
        let counted = Memory::of_rehearsal(&self.commands.uniforms);
        let held = Held::new(&self.device, counted)?;
        self.aside = Some(self.exchange(held));
        self.commands.begin_rehearsal();
        Ok(())
    }

    /// Ends that; yields what was counted.
    pub(super) fn put_back(&mut self) -> MemoryPlan {
        self.commands.end_rehearsal();
        let Some(held) = self.aside.take() else {
            return MemoryPlan::default();
        };
        let counted = self.exchange(held);
        let [peak_bytes, frozen_bytes] = [counted.memory.peak(), counted.memory.frozen()];
        let adapter_bytes = counted
            .adapter
            .buffers()
            .iter()
            .map(|buffer| buffer.bytes)
            .sum();
        MemoryPlan {
            peak_bytes,
            frozen_bytes,
            adapter_bytes,
            activation_bytes: peak_bytes.saturating_sub(frozen_bytes + adapter_bytes),
        }
    }

    /// Gives scratch back to the memory that it came from; what is left of a rehearsal to none.
    pub(super) fn give_back(&mut self, buffer: GpuBuffer) {
        let memory = match &mut self.aside {
            Some(held) if !buffer.is_placeholder() => &mut held.memory,
            None if buffer.is_placeholder() => return,
            _ => &mut self.memory,
        };
        memory.give_back(buffer);
    }
}

/// Natively the thread makes them, one after the other.
#[cfg(not(target_arch = "wasm32"))]
mod on_device {
    use super::{Commands, Device, Preparation, Shader};

    pub(in super::super) fn begin(
        commands: &mut Commands,
        device: &Device,
        shaders: Vec<(Shader, String)>,
    ) -> Preparation {
        for (shader, _) in &shaders {
            commands.pipeline(device, *shader);
        }
        let kernels = shaders.len();
        let preparation = Preparation::default();
        preparation.ready.set(kernels);
        Preparation {
            kernels,
            ..preparation
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod on_device {
    use core::cell::RefCell;
    use std::rc::Rc;

    use js_sys::{Array, Function, Object, Promise, Reflect};
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;

    use super::super::super::EngineError;
    use super::super::shader::Bindings;
    use super::{Commands, Device, Preparation, Shader};

    /// The browser's own pipelines, held so that it finds them again.
    pub(in super::super) type Ready = Rc<RefCell<Vec<JsValue>>>;

    pub(in super::super) fn begin(
        commands: &mut Commands,
        device: &Device,
        shaders: Vec<(Shader, String)>,
    ) -> Preparation {
        // Another backend than the browser's has nothing to be asked beneath it.
        let Some(raw) = device
            .device
            .as_webgpu()
            .map(|raw| JsValue::from(raw.clone()))
        else {
            return Preparation::default();
        };
        // Waited for from the start, so that none fails unheard.
        let begun: Result<Vec<JsFuture>, JsValue> = shaders
            .iter()
            .map(|(shader, text)| pipeline(&raw, shader.bindings(), text).map(JsFuture::from))
            .collect();
        let preparation = Preparation::default();
        let (kernels, ready) = (shaders.len(), preparation.ready.clone());
        let held = commands.ready.clone();
        let done = Box::pin(async move {
            for pipeline in begun.map_err(failed)? {
                let pipeline = pipeline.await.map_err(failed)?;
                held.borrow_mut().push(pipeline);
                ready.set(ready.get() + 1);
            }
            Ok(())
        });
        Preparation {
            kernels,
            ready: preparation.ready,
            done,
        }
    }

    fn failed(error: JsValue) -> EngineError {
        EngineError::DeviceLost(format!("a kernel could not be made: {error:?}"))
    }

    /// Asks for a pipeline as wgpu describes it.
    fn pipeline(device: &JsValue, bindings: Bindings, text: &str) -> Result<Promise, JsValue> {
        let module = object(&[("code", text.into())])?;
        let module = call(device, "createShaderModule", &module)?;
        let layout = layout(device, bindings)?;
        let compute = object(&[("module", module), ("entryPoint", "main".into())])?;
        let descriptor = object(&[("layout", layout), ("compute", compute)])?;
        call(device, "createComputePipelineAsync", &descriptor)?.dyn_into()
    }

    /// The uniform with its dynamic offset, then what is read, then what is written.
    fn layout(device: &JsValue, bindings: Bindings) -> Result<JsValue, JsValue> {
        let uniform = object(&[
            ("type", "uniform".into()),
            ("hasDynamicOffset", true.into()),
        ])?;
        let entries = Array::of1(&entry(0, uniform)?);
        for at in 0..bindings.read + bindings.written {
            let kind = if at < bindings.read {
                "read-only-storage"
            } else {
                "storage"
            };
            entries.push(&entry(at + 1, object(&[("type", kind.into())])?)?);
        }
        let group = object(&[("entries", entries.into())])?;
        let group = call(device, "createBindGroupLayout", &group)?;
        let groups = object(&[("bindGroupLayouts", Array::of1(&group).into())])?;
        call(device, "createPipelineLayout", &groups)
    }

    fn entry(binding: u32, buffer: JsValue) -> Result<JsValue, JsValue> {
        // GPUShaderStage.COMPUTE.
        object(&[
            ("binding", binding.into()),
            ("visibility", 4.into()),
            ("buffer", buffer),
        ])
    }

    fn object(fields: &[(&str, JsValue)]) -> Result<JsValue, JsValue> {
        let made = Object::new();
        for (name, value) in fields {
            Reflect::set(&made, &(*name).into(), value)?;
        }
        Ok(made.into())
    }

    fn call(device: &JsValue, method: &str, descriptor: &JsValue) -> Result<JsValue, JsValue> {
        let method: Function = Reflect::get(device, &method.into())?.dyn_into()?;
        method.call1(device, descriptor)
    }
}

#[cfg(target_arch = "wasm32")]
pub(super) use on_device::Ready;
pub(super) use on_device::begin;
