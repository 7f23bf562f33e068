// Builds the static site: the page, the training thread, and the wasm modules beside them.
//
//   node build.mjs --wasm DIR --out DIR [--observe]
//
// DIR of --wasm holds one folder per module as wasm-bindgen wrote it (protocol, wgsl, cpu, and
// burn where it was built). With --observe the protocol module of tests is taken, which can show
// a client's plain vector; without it no trace of that is in the site.
import { cpSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { buildOperator } from "./operator/build.mjs";
import { bundlePage, bundleThread, copyModules, folders, WEB } from "./tools/bundle.mjs";

const { wasm, out, observe } = folders("build.mjs", { observe: true });
const modules = await copyModules(wasm, out, { observe });
await bundleThread(out, { observe });
await bundlePage(out, "page", "demo/src/main.ts", modules, { observe });
await buildOperator(out);
cpSync(join(WEB, "demo/static"), out, { recursive: true });
cpSync(join(WEB, "demo/sample"), join(out, "sample"), { recursive: true });
report();

function report() {
  const files = [];
  const walk = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else files.push(path);
    }
  };
  walk(out);
  for (const file of files.sort()) console.log(`${statSync(file).size} ${file.slice(out.length + 1)}`);
}
