// Builds the browser extension: a folder that Chromium loads as it is.
//
//   node build_extension.mjs --wasm DIR --out DIR
//
// DIR of --wasm holds one folder per module as wasm-bindgen wrote it.
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundlePage, bundleScript, bundleThread, copyModules, WEB } from "./tools/bundle.mjs";

const { values } = parseArgs({ options: { wasm: { type: "string" }, out: { type: "string" } } });
if (!values.wasm || !values.out) {
  console.error("usage: node build_extension.mjs --wasm DIR --out DIR");
  process.exit(2);
}
const out = resolve(values.out);

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const modules = await copyModules(resolve(values.wasm), out);
await bundleThread(out);
await bundlePage(out, "offscreen", "extension/src/offscreen.ts", modules);
for (const name of ["background", "popup"]) await bundleScript(out, name, `extension/src/${name}.ts`);
for (const name of ["manifest.json", "popup.html", "popup.css", "offscreen.html"]) {
  cpSync(join(WEB, "extension", name), join(out, name));
}
