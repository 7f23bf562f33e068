// Prints what the files of the built site take when a server compresses them (brotli, quality 11).
//
//   node size.mjs SITE TOKENIZER_JSON SDK
//
// `webgpu_brotli_bytes` is what a visitor downloads to train on WebGPU, without the model: page
// and training thread, the modules protocol and wgsl, and the tokenizer's own file. Parts under
// `sdk/` are what only a page that converses loads, from the folder SDK; they are not counted.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

const [site, tokenizer, sdk] = process.argv.slice(2);
const ELSEWHERE = /^(wasm\/(cpu|burn)|operator|sdk)\//;
const CHAT = ["chat.js", "chat_thread.js", "wasm/chat/module.js", "wasm/chat/module.wasm"];

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
for (const name of CHAT) parts[`sdk/${name}`] = compressed(join(sdk, name));

const modules = {};
for (const [name, bytes] of Object.entries(parts)) {
  const module = /^(?:sdk\/)?wasm\/([^/]+)\//.exec(name)?.[1];
  if (module) modules[module] = (modules[module] ?? 0) + bytes;
}
const counted = Object.entries(parts).filter(([name]) => !ELSEWHERE.test(name));
const webgpu = counted.reduce((sum, [, bytes]) => sum + bytes, 0);
console.log(JSON.stringify({ webgpu_brotli_bytes: webgpu, modules_brotli_bytes: modules, parts }));
