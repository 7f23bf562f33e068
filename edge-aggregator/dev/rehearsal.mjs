// The aggregator's side of a round that was written down, played again in real workerd. Each step
// is one request, and an upload one each; the clock is the CPU time of workerd's process, all of its
// threads, from outside, as workerd's own stands still while it computes.
//
//   node dev/rehearsal.mjs WASM_FOLDER REHEARSAL_FOLDER REPETITIONS
//
// One line of JSON on stdout: for each repetition the milliseconds by phase, after one that warms
// the engine up.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Miniflare } from "miniflare";
import { COMPATIBILITY_DATE } from "./miniflare.mjs";

const WARM = 1;
const [wasm, folder, repetitions] = process.argv.slice(2);
const file = (name) => readFileSync(join(folder, name));
// The folder holds one module, as wasm-bindgen writes it for the web.
const module = readdirSync(wasm)
  .find((name) => name.endsWith("_bg.wasm"))
  .replace("_bg.wasm", "");
const worker = fileURLToPath(new URL("rehearsal_worker.mjs", import.meta.url));

const miniflare = new Miniflare({
  modules: [
    { type: "ESModule", path: "rehearsal_worker.mjs", contents: readFileSync(worker, "utf8") },
    { type: "ESModule", path: "rehearsed.js", contents: readFileSync(join(wasm, `${module}.js`), "utf8") },
    { type: "CompiledWasm", path: "rehearsed_bg.wasm", contents: readFileSync(join(wasm, `${module}_bg.wasm`)) },
  ],
  compatibilityDate: COMPATIBILITY_DATE,
  cf: false,
  telemetry: { enabled: false },
});
try {
  const url = await miniflare.ready;
  const workerd = childrenOf(process.pid).find((pid) => commandOf(pid).includes("workerd"));
  if (!workerd) throw new Error("workerd's process is not to be found under /proc");

  // A connection of its own for each: a kept one may be closed by either side between two steps.
  const post = (path, body) =>
    new Promise((resolve, reject) => {
      const call = request(new URL(path, url), { method: "POST", agent: false }, async (response) => {
        const text = (await response.toArray()).join("");
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${path}: ${response.statusCode} ${text}`));
      });
      call.on("error", reject);
      call.end(body);
    });
  const timed = async (step) => {
    const before = cpuMs(workerd);
    const result = await step();
    return [cpuMs(workerd) - before, result];
  };
  const uploads = readdirSync(folder).filter((name) => name.startsWith("upload."));
  const whole = existsSync(join(folder, "opens")) && file("opens").length > 2;

  async function play() {
    await post("/open", file("scene"));
    const [before] = await timed(() => post("/hear", file("before")));
    let spent = 0;
    for (let place = 0; place < uploads.length; place++) {
      const body = file(`upload.${place}`);
      spent += (await timed(() => post("/take", body)))[0];
    }
    if (!whole) return { before, uploads: spent, confirm: 0, open: 0, expand: 0 };
    const [confirm] = await timed(() => post("/hear", file("acks")));
    const [open] = await timed(() => post("/hear", file("opens")));
    const [expand, sum] = await timed(() => post("/expand"));
    return { before, uploads: spent, confirm, open, expand, sum };
  }

  const turns = [];
  for (let turn = 0; turn < WARM + Number(repetitions); turn++) turns.push(await play());
  const sums = new Set(turns.map((turn) => turn.sum));
  if (sums.size !== 1) throw new Error("the sums differ");
  const server = turns.slice(WARM).map(({ sum, ...times }) => times);
  console.log(JSON.stringify({ engine: `workerd ${await version()}`, sum: turns[0].sum ?? null, server }));
} finally {
  await miniflare.dispose();
}

async function version() {
  const { version } = await import("workerd");
  return version;
}

function childrenOf(root) {
  const parents = new Map();
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // It ended between the listing and the reading.
    }
  }
  const isBelow = (pid) => pid !== undefined && (pid === root || isBelow(parents.get(pid)));
  return [...parents.keys()].filter((pid) => pid !== root && isBelow(pid));
}

function commandOf(pid) {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0];
}

// To the nanosecond, of every thread that there is; none ends while a step runs.
function cpuMs(pid) {
  const threads = readdirSync(`/proc/${pid}/task`);
  const spent = (thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  return threads.reduce((sum, thread) => sum + spent(thread), 0) / 1e6;
}
