// The best rate of a plain f32 product that this browser's WebGPU reaches, subgroups included: the R
// of `floor_ratio`. Runs in the page; every result is checked against the CPU.
import { kernel, variants } from "./limit_kernels.js";

const SHAPES = [
  [512, 256, 688],
  [1024, 1024, 1024],
];
/** What a submit should take at least. */
const SUBMIT_MS = 20;

/** GFLOP/s by the given clock: `cpuMs()` over the cores, or wall where there is none. */
export async function measureLimits({ cpuMs, cores, leastMs = 1500 }) {
  const { device, lanes } = await open();
  const rates = [];
  for (const shape of SHAPES) {
    for (const variant of variants(lanes)) rates.push(await rate(device, shape, variant, { cpuMs, cores, leastMs }));
  }
  device.destroy();
  const best = rates.reduce((one, other) => (other.gflops > one.gflops ? other : one));
  return { rate: best.gflops, wall_rate: Math.max(...rates.map((one) => one.wall_gflops)), kernels: rates };
}

/** A device with subgroups where the adapter has them in one size. */
export async function open() {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const { subgroupMinSize, subgroupMaxSize } = adapter.info;
  const uniform = adapter.features.has("subgroups") && subgroupMinSize === subgroupMaxSize;
  const device = await adapter.requestDevice({
    requiredFeatures: uniform ? ["subgroups"] : [],
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
  });
  return { device, lanes: uniform ? subgroupMinSize : null };
}

async function rate(device, shape, variant, clock) {
  const { name, code, groups, fits } = kernel(shape, variant);
  const none = (reason) => ({ name, gflops: 0, wall_gflops: 0, reason });
  if (!fits || groups.some((count) => count % 1 !== 0)) return none("the shape does not fit");
  const product = await prepare(device, shape, { code, groups });
  try {
    await product.run(1);
    if (!(await product.isRight())) {
      if (variant.kind === "subgroup") return none("lanes do not lie along x");
      throw new Error(`${name} computes wrong values`);
    }
    const { cpu, wall } = await repeat(product.run, clock);
    const [M, N, K] = shape;
    const flops = (2 * M * N * K) / 1e6;
    return { name, gflops: flops / (cpu || wall), wall_gflops: flops / wall };
  } finally {
    product.destroy();
  }
}

/** The kernel on random matrices: runs it so many times in one submit, compares its result. */
async function prepare(device, [M, N, K], { code, groups }) {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const [left, right] = [random(M * K), random(K * N)];
  const buffers = [M * K, K * N, M * N].map((size) => device.createBuffer({ size: size * 4, usage }));
  device.queue.writeBuffer(buffers[0], 0, left);
  device.queue.writeBuffer(buffers[1], 0, right);
  const module = device.createShaderModule({ code });
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const bindings = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  return {
    async run(times) {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindings);
      for (let i = 0; i < times; i++) pass.dispatchWorkgroups(groups[0], groups[1]);
      pass.end();
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
    },
    isRight: async () => isRight(await readBack(device, buffers[2], M * N), left, right, [M, N, K]),
    destroy: () => buffers.forEach((buffer) => buffer.destroy()),
  };
}

/** Milliseconds of one run: the mean by the given clock, the best and the mean by wall. */
export async function repeat(run, { cpuMs, cores, leastMs }) {
  const timed = async (times) => {
    const before = performance.now();
    await run(times);
    return (performance.now() - before) / times;
  };
  // On a fast device many products share a submit, whose own cost would hide them.
  const times = Math.min(256, Math.max(1, Math.ceil(SUBMIT_MS / (await timed(1)))));
  const walls = [];
  const cpuBefore = await cpuMs();
  const start = performance.now();
  while (walls.length < 3 || performance.now() - start < leastMs) walls.push(await timed(times));
  const cpu = cpuBefore === null ? null : ((await cpuMs()) - cpuBefore) / (walls.length * times) / cores;
  const mean = walls.reduce((sum, wall) => sum + wall, 0) / walls.length;
  return { cpu, wall: Math.min(...walls), mean };
}

function random(count) {
  return Float32Array.from({ length: count }, () => Math.random() - 0.5);
}

async function readBack(device, buffer, count) {
  const copy = device.createBuffer({ size: count * 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, count * 4);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(GPUMapMode.READ);
  const values = new Float32Array(copy.getMappedRange()).slice();
  copy.destroy();
  return values;
}

function isRight(product, left, right, [M, N, K]) {
  for (let z = 0; z < 40; z++) {
    const [i, j] = [(z * 7919) % M, (z * 104729) % N];
    let sum = 0;
    for (let k = 0; k < K; k++) sum += left[i * K + k] * right[k * N + j];
    if (Math.abs(sum - product[i * N + j]) > 1e-3) return false;
  }
  return true;
}
