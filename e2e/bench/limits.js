// The best rate of a plain f32 product that this browser's WebGPU reaches without subgroups:
// the R of `floor_ratio`. Runs in the page; every result is checked against the CPU.

const SHAPES = [
  [512, 256, 688],
  [1024, 1024, 1024],
];
// Rows and columns per invocation, k per round, workgroup.
const VARIANTS = [
  { rows: 8, columns: 8, unroll: 4, group: [8, 8] },
  { rows: 16, columns: 16, unroll: 4, group: [4, 4] },
  { rows: 16, columns: 32, unroll: 4, group: [4, 2] },
];

/** A kernel that keeps a tile in registers and adds four k-products in one expression. */
function kernel([M, N, K], { rows, columns, unroll, group }) {
  const [a, b] = [K / 4, N / 4];
  const wide = columns / 4;
  const lines = [
    `@group(0) @binding(0) var<storage, read> A: array<vec4f, ${M * a}>;`,
    `@group(0) @binding(1) var<storage, read> B: array<vec4f, ${K * b}>;`,
    `@group(0) @binding(2) var<storage, read_write> C: array<vec4f, ${M * b}>;`,
    `@compute @workgroup_size(${group[0]}, ${group[1]})`,
    "fn main(@builtin(global_invocation_id) id: vec3u) {",
    `  let ra0 = id.y * ${rows * a}u; let c = id.x * ${wide}u; let rc = id.y * ${rows * b}u + c;`,
  ];
  const each = (f) => {
    for (let i = 0; i < rows; i++) for (let j = 0; j < wide; j++) lines.push(f(i, j));
  };
  each((i, j) => `  var c${i}_${j} = vec4f();`);
  lines.push(`  for (var k = 0u; k < ${K}u; k += ${unroll}u) { let ra = ra0 + (k >> 2u); let rb = c + k * ${b}u;`);
  for (let q = 0; q < unroll; q++) {
    for (let j = 0; j < wide; j++) lines.push(`    let b${q}_${j} = B[rb + ${q * b + j}u];`);
  }
  for (let i = 0; i < rows; i++) {
    for (let u = 0; u < unroll / 4; u++) lines.push(`    let a${i}_${u} = A[ra + ${i * a + u}u];`);
    for (let j = 0; j < wide; j++) {
      const terms = Array.from({ length: unroll }, (_, q) => `a${i}_${q >> 2}.${"xyzw"[q % 4]} * b${q}_${j}`);
      lines.push(`    c${i}_${j} += ${terms.join(" + ")};`);
    }
  }
  lines.push("  }");
  each((i, j) => `  C[rc + ${i * b + j}u] = c${i}_${j};`);
  lines.push("}");
  return { code: lines.join("\n"), groups: [N / (columns * group[0]), M / (rows * group[1])] };
}

/** GFLOP/s by the given clock: `cpuMs()` over the cores, or wall where there is none. */
export async function measureLimits({ cpuMs, cores, leastMs = 1500 }) {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
  const rates = [];
  for (const shape of SHAPES) {
    for (const variant of VARIANTS) rates.push(await rate(device, shape, variant, { cpuMs, cores, leastMs }));
  }
  device.destroy();
  const best = rates.reduce((one, other) => (other.gflops > one.gflops ? other : one));
  return { rate: best.gflops, wall_rate: Math.max(...rates.map((one) => one.wall_gflops)), kernels: rates };
}

async function rate(device, shape, variant, { cpuMs, cores, leastMs }) {
  const [M, N, K] = shape;
  const { code, groups } = kernel(shape, variant);
  const name = `${shape.join("x")} by ${variant.rows}x${variant.columns}`;
  if (groups.some((count) => count % 1 !== 0)) return { name, gflops: 0, wall_gflops: 0 };
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const [left, right] = [random(M * K), random(K * N)];
  const buffers = [M * K, K * N, M * N].map((size) => device.createBuffer({ size: size * 4, usage }));
  device.queue.writeBuffer(buffers[0], 0, left);
  device.queue.writeBuffer(buffers[1], 0, right);
  const module = device.createShaderModule({ code });
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const bindings = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const run = async () => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindings);
    pass.dispatchWorkgroups(groups[0], groups[1]);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  };
  await run();
  const product = await readBack(device, buffers[2], M * N);
  check(product, left, right, shape, name);
  const walls = [];
  const cpuBefore = await cpuMs();
  const start = performance.now();
  while (walls.length < 3 || performance.now() - start < leastMs) {
    const before = performance.now();
    await run();
    walls.push(performance.now() - before);
  }
  const cpu = cpuBefore === null ? null : ((await cpuMs()) - cpuBefore) / walls.length / cores;
  for (const buffer of buffers) buffer.destroy();
  const flops = (2 * M * N * K) / 1e6;
  const wall = flops / Math.min(...walls);
  return { name, gflops: cpu ? flops / cpu : wall, wall_gflops: wall };
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

function check(product, left, right, [M, N, K], name) {
  for (let z = 0; z < 40; z++) {
    const [i, j] = [(z * 7919) % M, (z * 104729) % N];
    let sum = 0;
    for (let k = 0; k < K; k++) sum += left[i * K + k] * right[k * N + j];
    if (Math.abs(sum - product[i * N + j]) > 1e-3) throw new Error(`${name} computes wrong values`);
  }
}
