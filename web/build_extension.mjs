// Builds the browser extension: a folder that Chromium loads as it is.
//
//   node build_extension.mjs --wasm DIR --out DIR
//
// DIR of --wasm holds one folder per module as wasm-bindgen wrote it.
import { cpSync } from "node:fs";
import { join } from "node:path";
import { bundlePage, bundleScript, bundleThread, copyModules, folders, WEB } from "./tools/bundle.mjs";

const { wasm, out } = folders("build_extension.mjs");
const modules = await copyModules(wasm, out);
await bundleThread(out);
for (const name of ["offscreen", "popup"]) await bundlePage(out, name, `extension/src/${name}.ts`, modules);
await bundleScript(out, "background", "extension/src/background.ts");
for (const name of ["manifest.json", "popup.html", "popup.css", "offscreen.html"]) {
  cpSync(join(WEB, "extension", name), join(out, name));
}
