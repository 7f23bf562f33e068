// Bundles one library's row for the page.
//
//   node bundle.mjs NAME OUT_FOLDER
import { build } from "esbuild";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const [name, outdir] = process.argv.slice(2);
await build({
  absWorkingDir: dirname(fileURLToPath(import.meta.url)),
  entryPoints: [`${name}.js`],
  outdir,
  bundle: true,
  splitting: true,
  minify: true,
  format: "esm",
  platform: "browser",
  define: { "process.env.NODE_ENV": '"production"' },
  // What the libraries ask Node for, behind a look at where they run.
  external: ["node:*", "fs", "path", "crypto", "worker_threads", "perf_hooks", "os", "util", "module"],
  logLevel: "error",
});
