//! What is queued: dispatches of one step, sent off together in one submit.
//!
//! Pipelines are made when first needed. Bind groups and uniform slots are kept by what they hold,
//! so a steady step creates nothing.

use std::collections::HashMap;

use super::super::{EngineError, Preparation};
use super::device::Device;
use super::memory::{GpuBuffer, Memory};
use super::preparation;
use super::shader::{Bindings, Shader};

/// Words of one call's uniform.
const WORDS: usize = 16;
/// Uniforms that fit their buffer.
const SLOTS: u32 = 1024;
/// Bind groups kept before all are dropped.
const MAX_BIND_GROUPS: usize = 4096;

type Words = [u32; WORDS];

/// A kernel call to be queued.
pub(super) struct Dispatch<'a> {
    pub(super) shader: Shader,
    /// In binding order, the written ones last.
    pub(super) buffers: &'a [&'a GpuBuffer],
    /// The uniform, word by word.
    pub(super) words: &'a [u32],
    pub(super) groups: [u32; 3],
}

/// A copy to be sent off behind what is queued.
pub(super) struct Copy<'a> {
    pub(super) from: &'a GpuBuffer,
    pub(super) to: &'a wgpu::Buffer,
    /// The first value in `to`.
    pub(super) at: usize,
    /// Values.
    pub(super) len: usize,
}

struct Queued {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    uniform: u32,
    groups: [u32; 3],
}

struct Layout {
    bind_group: wgpu::BindGroupLayout,
    pipeline: wgpu::PipelineLayout,
}

/// The queue of a step and everything that is kept between steps.
pub(super) struct Commands {
    pub(super) uniforms: GpuBuffer,
    slots: HashMap<Words, u32>,
    unsent: Vec<Words>,
    layouts: HashMap<Bindings, Layout>,
    pipelines: HashMap<Shader, wgpu::ComputePipeline>,
    /// By layout and by what is bound: each buffer's number and where its part begins.
    bind_groups: HashMap<(Bindings, Vec<(u64, u64)>), wgpu::BindGroup>,
    queued: Vec<Queued>,
    /// What a rehearsal notes instead of queueing it.
    rehearsal: Option<Vec<Shader>>,
    /// Noted and not made yet.
    wanted: Vec<Shader>,
    /// Made beside the thread, so that `pipelines` is given them at once.
    #[cfg(target_arch = "wasm32")]
    pub(super) ready: preparation::Ready,
    /// Dispatches since [`Self::restart_counts`].
    pub(super) dispatches: u32,
    /// Submits since [`Self::restart_counts`].
    pub(super) submits: u32,
}

impl Commands {
    pub(super) fn new(device: &Device, memory: &mut Memory) -> Result<Self, EngineError> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let len = (SLOTS * device.uniform_stride / 4) as usize;
        Ok(Self {
            uniforms: memory.create(device, "uniforms", len, usage)?,
            slots: HashMap::new(),
            unsent: Vec::new(),
            layouts: HashMap::new(),
            pipelines: HashMap::new(),
            bind_groups: HashMap::new(),
            queued: Vec::new(),
            rehearsal: None,
            wanted: Vec::new(),
            #[cfg(target_arch = "wasm32")]
            ready: preparation::Ready::default(),
            dispatches: 0,
            submits: 0,
        })
    }

    /// Lets go of the bind groups, and so of buffers that are used no more.
    pub(super) fn forget_bind_groups(&mut self) {
        self.bind_groups.clear();
    }

    pub(super) fn restart_counts(&mut self) {
        self.dispatches = 0;
        self.submits = 0;
    }

    /// Queues one kernel call.
    pub(super) fn dispatch(
        &mut self,
        device: &Device,
        call: &Dispatch<'_>,
    ) -> Result<(), EngineError> {
        device.check()?;
        let bindings = call.shader.bindings();
        debug_assert_eq!(call.buffers.len() as u32, bindings.read + bindings.written);
        if let Some(split) = call.buffers.iter().find(|buffer| buffer.split.is_some()) {
            return Err(EngineError::TooLarge {
                what: format!("a matrix for {:?}", call.shader),
                bytes: split.bytes,
                limit: device.largest_buffer,
            });
        }
        if let Some(noted) = &mut self.rehearsal {
            noted.push(call.shader);
            return Ok(());
        }
        let uniform = self.slot(device, call.words) * device.uniform_stride;
        let pipeline = self.pipeline(device, call.shader);
        let bind_group = self.bind_group(device, bindings, call.buffers);
        self.queued.push(Queued {
            pipeline,
            bind_group,
            uniform,
            groups: call.groups,
        });
        self.dispatches += 1;
        Ok(())
    }

    /// Sends off what is queued, and a copy after it.
    pub(super) fn submit(&mut self, device: &Device, copy: Option<Copy<'_>>) {
        if self.rehearsal.is_some() || (self.queued.is_empty() && copy.is_none()) {
            return;
        }
        self.send_uniforms(device);
        let mut encoder = device.device.create_command_encoder(&Default::default());
        if !self.queued.is_empty() {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for call in self.queued.drain(..) {
                let [x, y, z] = call.groups;
                pass.set_pipeline(&call.pipeline);
                pass.set_bind_group(0, &call.bind_group, &[call.uniform]);
                pass.dispatch_workgroups(x, y, z);
            }
        }
        if let Some(Copy { from, to, at, len }) = copy {
            let [at, len] = [at, len].map(|values| 4 * values as u64);
            encoder.copy_buffer_to_buffer(&from.raw, 0, to, at, len);
        }
        device.queue.submit([encoder.finish()]);
        self.submits += 1;
    }

    pub(super) fn is_rehearsal(&self) -> bool {
        self.rehearsal.is_some()
    }

    /// From here on nothing is queued; which shaders would have been is noted.
    pub(super) fn begin_rehearsal(&mut self) {
        self.rehearsal = Some(Vec::new());
    }

    pub(super) fn end_rehearsal(&mut self) {
        for shader in self.rehearsal.take().unwrap_or_default() {
            if !self.pipelines.contains_key(&shader) && !self.wanted.contains(&shader) {
                self.wanted.push(shader);
            }
        }
    }

    /// How many pipelines there are.
    pub(super) fn made(&self) -> usize {
        self.pipelines.len()
    }

    /// Makes what was noted, the largest texts first: they take longest.
    pub(super) fn prepare(&mut self, device: &Device) -> Preparation {
        let mut shaders: Vec<_> = core::mem::take(&mut self.wanted)
            .into_iter()
            .map(|shader| (shader, shader.source()))
            .collect();
        shaders.sort_by_key(|(_, text)| core::cmp::Reverse(text.len()));
        preparation::begin(self, device, shaders)
    }

    /// The slot that holds these words.
    fn slot(&mut self, device: &Device, words: &[u32]) -> u32 {
        let mut block = [0; WORDS];
        block[..words.len()].copy_from_slice(words);
        if let Some(slot) = self.slots.get(&block) {
            return *slot;
        }
        if self.slots.len() as u32 == SLOTS {
            self.submit(device, None);
            self.slots.clear();
        }
        let slot = self.slots.len() as u32;
        self.slots.insert(block, slot);
        self.unsent.push(block);
        slot
    }

    /// Writes the slots that are new since the last submit; they lie side by side.
    fn send_uniforms(&mut self, device: &Device) {
        if self.unsent.is_empty() {
            return;
        }
        let stride = device.uniform_stride as usize;
        let first = self.slots.len() - self.unsent.len();
        let mut bytes = vec![0; stride * self.unsent.len()];
        for (slot, words) in bytes.chunks_exact_mut(stride).zip(self.unsent.drain(..)) {
            slot[..4 * WORDS].copy_from_slice(bytemuck::cast_slice(&words));
        }
        device
            .queue
            .write_buffer(&self.uniforms.raw, (first * stride) as u64, &bytes);
    }

    pub(super) fn pipeline(&mut self, device: &Device, shader: Shader) -> wgpu::ComputePipeline {
        if let Some(pipeline) = self.pipelines.get(&shader) {
            return pipeline.clone();
        }
        let module = device
            .device
            .create_shader_module(wgpu::ShaderModuleDescriptor {
                label: None,
                source: wgpu::ShaderSource::Wgsl(shader.source().into()),
            });
        let layout = self.layout(device, shader.bindings());
        let pipeline = device
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&format!("{shader:?}")),
                layout: Some(&layout.pipeline),
                module: &module,
                entry_point: Some("main"),
                compilation_options: Default::default(),
                cache: None,
            });
        self.pipelines.insert(shader, pipeline.clone());
        pipeline
    }

    fn layout(&mut self, device: &Device, bindings: Bindings) -> &Layout {
        self.layouts
            .entry(bindings)
            .or_insert_with(|| Layout::new(&device.device, bindings))
    }

    fn bind_group(
        &mut self,
        device: &Device,
        bindings: Bindings,
        buffers: &[&GpuBuffer],
    ) -> wgpu::BindGroup {
        let key = (
            bindings,
            buffers
                .iter()
                .map(|buffer| (buffer.id, buffer.offset))
                .collect::<Vec<_>>(),
        );
        if let Some(group) = self.bind_groups.get(&key) {
            return group.clone();
        }
        if self.bind_groups.len() == MAX_BIND_GROUPS {
            self.bind_groups.clear();
        }
        let uniform = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.uniforms.raw,
            offset: 0,
            size: core::num::NonZeroU64::new(4 * WORDS as u64),
        });
        let entries: Vec<_> = core::iter::once(uniform)
            .chain(buffers.iter().map(|buffer| buffer.binding()))
            .enumerate()
            .map(|(at, resource)| wgpu::BindGroupEntry {
                binding: at as u32,
                resource,
            })
            .collect();
        let layout = self
            .layouts
            .entry(bindings)
            .or_insert_with(|| Layout::new(&device.device, bindings));
        let group = device.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &layout.bind_group,
            entries: &entries,
        });
        self.bind_groups.insert(key, group.clone());
        group
    }
}

impl Layout {
    fn new(device: &wgpu::Device, bindings: Bindings) -> Self {
        let entry = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty,
                has_dynamic_offset,
                min_binding_size: None,
            },
            count: None,
        };
        let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform, true)];
        for at in 0..bindings.read + bindings.written {
            let read_only = at < bindings.read;
            entries.push(entry(
                at + 1,
                wgpu::BufferBindingType::Storage { read_only },
                false,
            ));
        }
        let bind_group = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &entries,
        });
        let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&bind_group)],
            immediate_size: 0,
        });
        Self {
            bind_group,
            pipeline,
        }
    }
}
