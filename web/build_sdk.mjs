// Builds the npm package @choir/sdk as a site owner gets it, and packs it.
//
//   node build_sdk.mjs --wasm DIR --out DIR
//
// DIR of --wasm holds one folder per module as wasm-bindgen wrote it. Beside DIR of --out lies
// afterwards `choir-sdk-<version>.tgz`, made by `npm pack`. `index.js` is for bundlers;
// `browser.js` is the same for files that are served as they are, and also checks `thread.js`.
// `chat.js` is an entry of its own, with a thread and a module that nothing else loads.
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { bundlePage, bundleScript, bundleThread, copyModules, folders, integrityOf, WEB } from "./tools/bundle.mjs";

const SDK = join(WEB, "packages/sdk");
const ENTRY = "packages/sdk/src/index.ts";

const { wasm, out } = folders("build_sdk.mjs");
const modules = await copyModules(wasm, out);
await bundleThread(out);
await bundlePage(out, "index", ENTRY, modules);
await bundlePage(out, "browser", ENTRY, modules, { checkThread: true });
const chat = await copyModules(wasm, out, { names: ["chat"] });
await bundleScript(out, "chat_thread", "packages/sdk/src/chat_thread.ts");
await bundlePage(out, "chat", "packages/sdk/src/chat.ts", chat);
writeTypes();
cpSync(join(SDK, "README.md"), join(out, "README.md"));
for (const name of ["LICENSE-APACHE", "LICENSE-MIT"]) cpSync(join(WEB, "..", name), join(out, name));
cpSync(join(WEB, "node_modules/@huggingface/tokenizers/LICENSE"), join(out, "LICENSE-tokenizers"));
writeFileSync(join(out, "package.json"), `${JSON.stringify(manifest(), null, 2)}\n`);
writeFileSync(join(out, "integrity.json"), `${JSON.stringify(digests(), null, 2)}\n`);
pack();

/** Declarations of everything that a page can import. */
function writeTypes() {
  const compiler = join(WEB, "node_modules/typescript/bin/tsc");
  run(process.execPath, [compiler, "--project", SDK, "--outDir", join(out, "types")]);
}

/** The workspace's manifest without what only the workspace needs. */
function manifest() {
  const { name, version, description, type, license } = JSON.parse(readFileSync(join(SDK, "package.json"), "utf8"));
  const entry = (script, types = "./types/index.d.ts") => ({ types, default: script });
  return {
    name,
    version,
    description,
    type,
    license,
    types: "./types/index.d.ts",
    exports: {
      ".": entry("./index.js"),
      "./browser.js": entry("./browser.js"),
      "./chat": entry("./chat.js", "./types/chat.d.ts"),
      "./thread": "./thread.js",
      "./wasm/*": "./wasm/*",
      "./integrity.json": "./integrity.json",
      "./package.json": "./package.json",
    },
    sideEffects: false,
    files: ["*.js", "wasm", "types", "integrity.json", "LICENSE-*"],
  };
}

/** Every script and wasm file with its digest, for `integrity` attributes. */
function digests() {
  const files = readdirSync(out, { recursive: true }).map((path) => path.replaceAll("\\", "/"));
  const checked = files.filter((path) => /\.(js|wasm)$/.test(path)).sort();
  return Object.fromEntries(checked.map((path) => [path, integrityOf(join(out, path))]));
}

function pack() {
  const folder = dirname(out);
  for (const name of readdirSync(folder)) if (/^choir-sdk-.*\.tgz$/.test(name)) rmSync(join(folder, name));
  run("npm", ["pack", out, "--pack-destination", folder, "--loglevel=error"]);
}

function run(program, args) {
  const { status, error } = spawnSync(program, args, { stdio: ["ignore", "inherit", "inherit"] });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${status}`);
}
