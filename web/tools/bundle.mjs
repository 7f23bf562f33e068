// What the builds of the site, the SDK package and the extension share: the wasm modules with the
// digests that a page holds them to, the training thread, and a page's script that knows both.
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build, transform } from "esbuild";

export const WEB = dirname(dirname(fileURLToPath(import.meta.url)));
const MODULES = ["protocol", "wgsl", "cpu", "burn"];
const REQUIRED = ["protocol", "wgsl", "cpu", "chat"];
const OPTIONS = {
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "linked",
  logLevel: "warning",
};

/** The folders that a build script is told, and `--observe`; the one of `--out` is empty afterwards. */
export function folders(script, { observe = false } = {}) {
  const options = { wasm: { type: "string" }, out: { type: "string" } };
  if (observe) options.observe = { type: "boolean", default: false };
  const { values } = parseArgs({ options });
  if (!values.wasm || !values.out) {
    console.error(`usage: node ${script} --wasm DIR --out DIR${observe ? " [--observe]" : ""}`);
    process.exit(2);
  }
  const [wasm, out] = [resolve(values.wasm), resolve(values.out)];
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  return { wasm, out, observe: values.observe ?? false };
}

/** A file's digest as subresource integrity writes it. */
export function integrityOf(file) {
  return `sha384-${createHash("sha384").update(readFileSync(file)).digest("base64")}`;
}

/**
 * The modules of training that are built, or those of `names`, each its script minified as `wasm/<name>/module.js` and its wasm as
 * `module.wasm`. With `observe` the protocol module of tests is taken. Returns their names.
 */
export async function copyModules(wasm, out, { observe = false, names = MODULES } = {}) {
  const copied = [];
  for (const module of names) {
    const from = join(wasm, module === "protocol" && observe ? "protocol-observe" : module);
    if (existsSync(from)) {
      await copyModule(from, join(out, "wasm", module));
      copied.push(module);
    } else if (REQUIRED.includes(module)) throw new Error(`the wasm module ${module} is not built: ${from} is not there`);
  }
  return copied;
}

async function copyModule(from, to) {
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

/** The training thread, as `thread.js`. */
export async function bundleThread(out, { observe = false } = {}) {
  await build({
    ...OPTIONS,
    entryPoints: { thread: join(WEB, "packages/sdk/src/thread.ts") },
    outdir: out,
    define: { OBSERVE: String(observe) },
  });
}

/** A script that starts no training thread. */
export async function bundleScript(out, name, source) {
  await build({ ...OPTIONS, entryPoints: { [name]: join(WEB, source) }, outdir: out });
}

/**
 * A page's script beside the thread and the modules that are in `out` already. With `checkThread`
 * it also holds `thread.js` to its digest: for files that are served as they are.
 */
export async function bundlePage(out, name, source, modules, { observe = false, checkThread = false } = {}) {
  await build({
    ...OPTIONS,
    entryPoints: { [name]: join(WEB, source) },
    outdir: out,
    define: { OBSERVE: String(observe) },
    // As text, so that the addresses stay in the form that other bundlers look for.
    banner: { js: filesOf(out, modules, checkThread) },
  });
}

function filesOf(out, modules, checkThread) {
  const at = (path) => `{url:new URL("./${path}",import.meta.url).href,integrity:"${integrityOf(join(out, path))}"}`;
  const files = modules.map(
    (name) => `${name}:{script:${at(`wasm/${name}/module.js`)},wasm:${at(`wasm/${name}/module.wasm`)}}`,
  );
  return `const CHOIR_FILES={modules:{${files.join(",")}},thread:${checkThread ? at("thread.js") : "null"}};`;
}
