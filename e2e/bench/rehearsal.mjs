// A client's side of a round that was written down, played again in Chromium or in Node's wasm.
//
//   node bench/rehearsal.mjs WASM_FOLDER PART_FILE REPETITIONS chromium|node
//
// One line of JSON on stdout: milliseconds of each repetition, after two that warm the engine up.
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { launchBrowser } from "../lib/browser.mjs";
import { serveFolders } from "../lib/serve.mjs";
import { rehearseClient } from "./rehearsal_client.js";

const [wasm, part, repetitions, engine] = process.argv.slice(2);
const measured = engine === "node" ? await inNode() : await inChromium();
console.log(JSON.stringify(measured));

// The module is written for pages: Node takes it as an ES module under another name.
async function inNode() {
  const copy = mkdtempSync(join(tmpdir(), "choir-rehearsal-"));
  try {
    const script = join(copy, "module.mjs");
    copyFileSync(join(wasm, "choir_wasm_client.js"), script);
    const module = await import(pathToFileURL(script).href);
    await module.default({ module_or_path: readFileSync(join(wasm, "choir_wasm_client_bg.wasm")) });
    const times = rehearseClient(module, readFileSync(part), Number(repetitions));
    return { engine: `Node ${process.version}, V8 ${process.versions.v8}`, ...times };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

async function inChromium() {
  const server = await serveFolders({ wasm, part: dirname(part), bench: dirname(fileURLToPath(import.meta.url)) });
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(0);
    await page.goto(server.url);
    const times = await page.evaluate(
      async (count) => {
        const module = await import("/wasm/choir_wasm_client.js");
        await module.default();
        const { rehearseClient } = await import("/bench/rehearsal_client.js");
        const bytes = new Uint8Array(await (await fetch("/part/client")).arrayBuffer());
        return rehearseClient(module, bytes, count);
      },
      Number(repetitions),
    );
    return { engine: `Chromium ${browser.version()}`, ...times };
  } finally {
    await browser.close();
    server.close();
  }
}
