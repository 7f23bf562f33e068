// Masks as the tab's module expands them, on its vector lanes, against OpenSSL's ChaCha20 word for
// word. CHOIR_OUT names target/choir.
import assert from "node:assert/strict";
import { createCipheriv } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const folder = join(process.env.CHOIR_OUT ?? join(here, "../../target/choir"), "wasm/rehearsal");
const skip = existsSync(folder) ? false : `${folder} is not there: run \`cargo xtask build --observe\``;
const KEY = Uint8Array.from({ length: 32 }, (_, index) => 7 * index + 3);

let module;
before(async () => {
  if (skip) return;
  const copy = mkdtempSync(join(tmpdir(), "choir-masks-"));
  try {
    // The module is written for pages: Node takes it as an ES module under another name.
    const script = join(copy, "module.mjs");
    copyFileSync(join(folder, "choir_wasm_client.js"), script);
    module = await import(pathToFileURL(script).href);
    await module.default({ module_or_path: readFileSync(join(folder, "choir_wasm_client_bg.wasm")) });
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
});

// The stream from a block on, under nonce 0, as `width`-bit words.
function openssl(block, words, width) {
  const start = Buffer.alloc(16);
  start.writeUInt32LE(block);
  const bytes = createCipheriv("chacha20", KEY, start).update(Buffer.alloc((words * width) / 8));
  const whole = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  return Uint32Array.from(width === 16 ? new Uint16Array(whole) : new Uint32Array(whole));
}

const start = (count) => Uint32Array.from({ length: count }, (_, index) => Math.imul(index, 0x9e3779b9));

// The vector with the mask's coordinates from `first` on added, or subtracted, by the module.
function masked(count, bits, first, subtract) {
  const vector = start(count);
  module.addMask(vector, KEY, bits, first, subtract);
  return vector;
}

function agrees(count, bits, first, subtract) {
  const width = bits <= 16 ? 16 : 32;
  const perBlock = 512 / width;
  const block = Math.floor(first / perBlock);
  const stream = openssl(block, (first % perBlock) + count, width).subarray(first % perBlock);
  const expected = start(count).map((word, index) => (subtract ? word - stream[index] : word + stream[index]));
  assert.deepEqual(masked(count, bits, first, subtract), expected, `${count} coordinates of ${bits} bits from ${first}`);
}

test("every length up to 4096 gets OpenSSL's stream", { skip }, () => {
  for (const bits of [16, 24]) for (let count = 0; count <= 4096; count++) agrees(count, bits, 0, count % 2 === 1);
});

test("every first coordinate of some tiles gets OpenSSL's stream", { skip }, () => {
  for (const bits of [8, 32]) for (let first = 0; first <= 400; first++) for (const count of [1, 63, 300]) agrees(count, bits, first, true);
});

test("far blocks get OpenSSL's stream", { skip }, () => {
  for (const bits of [16, 24]) {
    const perBlock = bits <= 16 ? 32 : 16;
    for (const block of [65_536, 16_777_214, 67_108_860]) {
      for (const skipped of [0, 1, 15, 17]) agrees(500, bits, block * perBlock + skipped, false);
    }
  }
});

test("the first block under a zero key is that of RFC 8439 A.1", { skip }, () => {
  const vector = new Uint32Array(16);
  module.addMask(vector, new Uint8Array(32), 32, 0, false);
  const expected = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586";
  assert.equal(Buffer.from(vector.buffer).toString("hex"), expected);
});
