// The best rate at which a kernel of this browser's WebGPU copies a buffer, and beside it its queue's:
// bytes read and bytes written, both counted. The queue is no measure of kernels: on a software adapter
// it copies as the processor does. Runs in the page.
import { open, repeat } from "./limits.js";

/** Larger than caches. */
const BYTES = 64 * 1024 * 1024;
/** Vectors of four that a thread copies. */
const STRIDES = [1, 4, 16];

/** GB/s by the given clock: `cpuMs()` over the cores, or wall where there is none. */
export async function measureCopies({ cpuMs, cores, leastMs = 1000 }) {
  const { device } = await open();
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const [from, to] = [0, 1].map(() => device.createBuffer({ size: BYTES, usage }));
  device.queue.writeBuffer(from, 0, new Float32Array(BYTES / 4).fill(1.5));
  const ways = [{ name: "queue", encode: (encoder) => encoder.copyBufferToBuffer(from, 0, to, 0, BYTES) }];
  for (const stride of STRIDES) ways.push(await byKernel(device, [from, to], stride));
  const rates = [];
  for (const { name, encode } of ways) {
    const run = async (times) => {
      const encoder = device.createCommandEncoder();
      for (let i = 0; i < times; i++) encode(encoder);
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
    };
    await run(1);
    const { cpu, wall } = await repeat(run, { cpuMs, cores, leastMs });
    const megabytes = (2 * BYTES) / 1e6;
    rates.push({ name, gbytes: megabytes / (cpu || wall), wall_gbytes: megabytes / wall });
  }
  device.destroy();
  const [, ...byKernels] = rates.map((one) => one.gbytes);
  return { rate: Math.max(...byKernels), kernels: rates };
}

/** Threads side by side copy vectors side by side. */
async function byKernel(device, buffers, stride) {
  const vectors = BYTES / 16;
  const across = 4096;
  const groups = vectors / stride / 64;
  const code = `
@group(0) @binding(0) var<storage, read> from_: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> to_: array<vec4f>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.y * ${across * 64}u + id.x;
  for (var i = 0u; i < ${stride}u; i++) { to_[at + i * ${vectors / stride}u] = from_[at + i * ${vectors / stride}u]; }
}`;
  const module = device.createShaderModule({ code });
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const bindings = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const encode = (encoder) => {
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindings);
    pass.dispatchWorkgroups(Math.min(across, groups), Math.max(1, groups / across));
    pass.end();
  };
  return { name: `kernel, ${stride} vectors a thread`, encode };
}
