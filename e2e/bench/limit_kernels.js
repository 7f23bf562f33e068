// Kernels of a plain f32 product C = A B, [M, K] x [K, N], of which the fastest gives the limit.
// Each keeps a tile of C in registers; they differ in how A and B get there. Which one is fastest
// depends on the device: on SwiftShader large tiles and subgroups, on a GPU workgroup memory.

/**
 * Every kernel to try; `lanes` is the size of a subgroup, or null without subgroups. Where lanes do
 * not lie along x, a kernel with subgroups is wrong, and its check says so.
 */
export function variants(lanes) {
  const direct = (rows, columns, group) => ({ kind: "direct", rows, columns, group });
  const list = [direct(8, 8, [8, 8]), direct(16, 16, [4, 4]), direct(16, 32, [4, 2])];
  list.push({ kind: "workgroup", rows: 8, columns: 8, group: [8, 8] });
  if (lanes !== null) {
    const subgroup = (rows, columns, height) => ({ kind: "subgroup", rows, columns, group: [lanes, height] });
    list.push(subgroup(32, 16, 2), subgroup(8, 8, 4));
  }
  return list;
}

/** WGSL and the number of workgroups; those are fractions where the shape does not fit. */
export function kernel([M, N, K], variant) {
  const { kind, rows, columns, group } = variant;
  const size = { M, N, K, rows, columns, group, wide: columns / 4 };
  const body = { direct, subgroup, workgroup }[kind](size);
  return {
    name: `${M}x${N}x${K} by ${rows}x${columns}, ${kind}`,
    code: body.join("\n"),
    groups: [N / (columns * group[0]), M / (rows * group[1])],
    fits: K % depth(variant) === 0,
  };
}

/** k values that a kernel takes per round. */
function depth({ kind, group }) {
  return { direct: 4, subgroup: group[0], workgroup: TILE }[kind];
}

/** k values of a tile in workgroup memory. */
const TILE = 16;

function bindings({ M, N, K }, scalarA) {
  return [
    `@group(0) @binding(0) var<storage, read> A: ${scalarA ? `array<f32, ${M * K}>` : `array<vec4f, ${(M * K) / 4}>`};`,
    `@group(0) @binding(1) var<storage, read> B: array<vec4f, ${(K * N) / 4}>;`,
    `@group(0) @binding(2) var<storage, read_write> C: array<vec4f, ${(M * N) / 4}>;`,
  ];
}

/** A line for each vector of the tile. */
function tile({ rows, wide }, line) {
  return Array.from({ length: rows * wide }, (_, at) => line(Math.floor(at / wide), at % wide));
}

/** Four k-products added in one expression, which costs one load and store of the sum and not four. */
function accumulate(i, j, a) {
  return `c${i}_${j} += ${[0, 1, 2, 3].map((q) => `${a(q)} * b${q}_${j}`).join(" + ")};`;
}

function fourRowsOfB({ N, wide }, at) {
  const lines = [];
  for (let q = 0; q < 4; q++) for (let j = 0; j < wide; j++) lines.push(`let b${q}_${j} = B[${at} + ${(q * N) / 4 + j}u];`);
  return lines;
}

/** Every invocation reads its rows of A and its columns of B. */
function direct(size) {
  const { N, K, rows, wide, group } = size;
  const [a, b] = [K / 4, N / 4];
  const lines = [
    ...bindings(size, false),
    `@compute @workgroup_size(${group[0]}, ${group[1]})`,
    "fn main(@builtin(global_invocation_id) id: vec3u) {",
    `let row = id.y * ${rows * a}u; let column = id.x * ${wide}u; let out = id.y * ${rows * b}u + column;`,
    ...tile(size, (i, j) => `var c${i}_${j} = vec4f();`),
    `for (var k = 0u; k < ${a}u; k++) { let at = column + k * ${N}u;`,
    ...fourRowsOfB(size, "at"),
  ];
  for (let i = 0; i < rows; i++) {
    lines.push(`let a${i} = A[row + ${i * a}u + k];`);
    for (let j = 0; j < wide; j++) lines.push(accumulate(i, j, (q) => `a${i}.${"xyzw"[q]}`));
  }
  return [...lines, "}", ...tile(size, (i, j) => `C[out + ${i * b + j}u] = c${i}_${j};`), "}"];
}

/** The lanes of a subgroup share their rows: each reads one k of A and has the others from its neighbours. */
function subgroup(size) {
  const { N, K, rows, wide, group } = size;
  const [lanes, b] = [group[0], N / 4];
  const lines = [
    "enable subgroups;",
    ...bindings(size, true),
    `@compute @workgroup_size(${group[0]}, ${group[1]})`,
    "fn main(@builtin(global_invocation_id) id: vec3u, @builtin(subgroup_invocation_id) lane: u32) {",
    `let row = id.y * ${rows * K}u + lane; let column = id.x * ${wide}u; let out = id.y * ${rows * b}u + column;`,
    ...tile(size, (i, j) => `var c${i}_${j} = vec4f();`),
    `for (var k = 0u; k < ${K}u; k += ${lanes}u) { let at = column + k * ${b}u;`,
  ];
  for (let i = 0; i < rows; i++) lines.push(`let a${i} = A[row + ${i * K}u + k];`);
  for (let first = 0; first < lanes; first += 4) {
    lines.push("{", ...fourRowsOfB(size, `at + ${first * b}u`));
    for (let i = 0; i < rows; i++) {
      for (let q = 0; q < 4; q++) lines.push(`let x${i}_${q} = subgroupBroadcast(a${i}, ${first + q}u);`);
      for (let j = 0; j < wide; j++) lines.push(accumulate(i, j, (q) => `x${i}_${q}`));
    }
    lines.push("}");
  }
  return [...lines, "}", ...tile(size, (i, j) => `C[out + ${i * b + j}u] = c${i}_${j};`), "}"];
}

/** A workgroup copies tiles of A and B to its own memory, from where its invocations read them. */
function workgroup(size) {
  const { N, K, rows, wide, group } = size;
  const [height, width, b] = [rows * group[1], wide * group[0], N / 4];
  const count = group[0] * group[1];
  const lines = [
    ...bindings(size, false),
    `var<workgroup> tile_a: array<vec4f, ${(height * TILE) / 4}>;`,
    `var<workgroup> tile_b: array<vec4f, ${TILE * width}>;`,
    `@compute @workgroup_size(${group[0]}, ${group[1]})`,
    "fn main(@builtin(workgroup_id) w: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) t: u32) {",
    ...tile(size, (i, j) => `var c${i}_${j} = vec4f();`),
    `for (var k0 = 0u; k0 < ${K}u; k0 += ${TILE}u) {`,
    `for (var e = t; e < ${(height * TILE) / 4}u; e += ${count}u) {`,
    `tile_a[e] = A[(w.y * ${height}u + e / ${TILE / 4}u) * ${K / 4}u + k0 / 4u + e % ${TILE / 4}u]; }`,
    `for (var e = t; e < ${TILE * width}u; e += ${count}u) {`,
    `tile_b[e] = B[(k0 + e / ${width}u) * ${b}u + w.x * ${width}u + e % ${width}u]; }`,
    "workgroupBarrier();",
    `for (var k = 0u; k < ${TILE / 4}u; k++) {`,
  ];
  // Columns of an invocation lie apart, so that neighbours read neighbouring words.
  for (let q = 0; q < 4; q++) {
    for (let j = 0; j < wide; j++) lines.push(`let b${q}_${j} = tile_b[(k * 4u + ${q}u) * ${width}u + l.x + ${j * group[0]}u];`);
  }
  for (let i = 0; i < rows; i++) {
    lines.push(`let a${i} = tile_a[(l.y * ${rows}u + ${i}u) * ${TILE / 4}u + k];`);
    for (let j = 0; j < wide; j++) lines.push(accumulate(i, j, (q) => `a${i}.${"xyzw"[q]}`));
  }
  lines.push("}", "workgroupBarrier(); }");
  const out = (i, j) => `(w.y * ${height}u + l.y * ${rows}u + ${i}u) * ${b}u + w.x * ${width}u + l.x + ${j * group[0]}u`;
  return [...lines, ...tile(size, (i, j) => `C[${out(i, j)}] = c${i}_${j};`), "}"];
}
