// Builds the operator's page into `operator/` of the site: no wasm, nothing of the SDK.
import { cpSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));

/** The page's script and its static files. */
export async function buildOperator(out) {
  const folder = join(out, "operator");
  await build({
    entryPoints: { page: join(HERE, "src/main.ts") },
    outdir: folder,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    logLevel: "warning",
  });
  cpSync(join(HERE, "static"), folder, { recursive: true });
}
