// Prints what the files of the built site take when a server compresses them (brotli, quality 11).
//
//   node size.mjs SITE TOKENIZER_JSON
//
// `webgpu_brotli_bytes` is what a visitor downloads to train on WebGPU, without the model: page
// and training thread, the modules protocol and wgsl, and the tokenizer's own file.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

const [site, tokenizer] = process.argv.slice(2);
const ELSEWHERE = /^(wasm\/(cpu|burn)|operator)\//;

function compressed(file) {
  const content = readFileSync(file);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
  return brotliCompressSync(content, { params }).length;
}

const parts = {};
for (const name of readdirSync(site, { recursive: true }).map((path) => path.replaceAll("\\", "/")).sort()) {
  if (/\.(js|wasm)$/.test(name)) parts[name] = compressed(join(site, name));
}
parts["tokenizer.json"] = compressed(tokenizer);

const modules = {};
for (const [name, bytes] of Object.entries(parts)) {
  const module = /^wasm\/([^/]+)\//.exec(name)?.[1];
  if (module) modules[module] = (modules[module] ?? 0) + bytes;
}
const counted = Object.entries(parts).filter(([name]) => !ELSEWHERE.test(name));
const webgpu = counted.reduce((sum, [, bytes]) => sum + bytes, 0);
console.log(JSON.stringify({ webgpu_brotli_bytes: webgpu, modules_brotli_bytes: modules, parts }));
