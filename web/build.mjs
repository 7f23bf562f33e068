// Builds the static site: the page, the training thread, and the wasm modules beside them.
//
//   node build.mjs --wasm DIR --out DIR [--observe]
//
// DIR of --wasm holds one folder per module as wasm-bindgen wrote it (protocol, wgsl, cpu, and
// burn where it was built). With --observe the protocol module of tests is taken, which can show
// a client's plain vector; without it no trace of that is in the site.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build, transform } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const MODULES = ["protocol", "wgsl", "cpu", "burn"];
const REQUIRED = ["protocol", "wgsl", "cpu"];

const { values } = parseArgs({
  options: {
    wasm: { type: "string" },
    out: { type: "string" },
    observe: { type: "boolean", default: false },
  },
});
if (!values.wasm || !values.out) {
  console.error("usage: node build.mjs --wasm DIR --out DIR [--observe]");
  process.exit(2);
}
const wasm = resolve(values.wasm);
const out = resolve(values.out);

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await bundleScripts();
for (const module of MODULES) await copyModule(module);
cpSync(join(HERE, "demo/static"), out, { recursive: true });
cpSync(join(HERE, "demo/sample"), join(out, "sample"), { recursive: true });
report();

async function bundleScripts() {
  await build({
    entryPoints: {
      page: join(HERE, "demo/src/main.ts"),
      thread: join(HERE, "packages/sdk/src/thread.ts"),
    },
    outdir: out,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "linked",
    define: { OBSERVE: String(values.observe) },
    logLevel: "warning",
  });
}

/** One module: its script minified as `module.js`, its wasm as `module.wasm`. */
async function copyModule(module) {
  const name = module === "protocol" && values.observe ? "protocol-observe" : module;
  const from = join(wasm, name);
  if (!existsSync(from)) {
    if (REQUIRED.includes(module)) throw new Error(`the wasm module ${name} is not built`);
    return;
  }
  const to = join(out, "wasm", module);
  mkdirSync(to, { recursive: true });
  for (const file of readdirSync(from)) {
    const source = join(from, file);
    if (file.endsWith(".wasm")) cpSync(source, join(to, "module.wasm"));
    else if (file.endsWith(".js")) {
      const { code } = await transform(readFileSync(source, "utf8"), { minify: true, format: "esm" });
      writeFileSync(join(to, "module.js"), code);
    } else if (file === "snippets") cpSync(source, join(to, file), { recursive: true });
  }
}

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
