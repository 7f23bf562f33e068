// Every row that the Durable Objects of a development server can read of what they stored.
//
//   node dev/rows.mjs --persist DIR        prints one line of JSON per row
//
// The files are copied first, so a server may go on meanwhile. Rows are what SQL shows: pages that
// SQLite has freed and not yet used again, and its log, may hold older bytes.
import { copyFileSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Miniflare } from "miniflare";
import { COMPATIBILITY_DATE } from "./miniflare.mjs";

const CLASSES = ["TaskObject", "RoundObject", "ReportObject", "HelperObject"];
const COPY_ATTEMPTS = 40;

// Objects of the same names, which only show what they find.
const READER = `
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
const shown = (value) => (value instanceof ArrayBuffer ? { hex: hex(value) } : value);
class Reader {
  constructor(state) {
    this.storage = state.storage;
  }
  async fetch() {
    const sql = this.storage.sql;
    const found = [];
    const tables = [...sql.exec("SELECT name FROM sqlite_master WHERE type = 'table'")].map((row) => row.name);
    // The runtime's own tables cannot be read by SQL: the first holds what list() gives.
    for (const table of tables.filter((name) => !name.startsWith("_cf_") && !name.startsWith("sqlite_")))
      for (const row of sql.exec('SELECT * FROM "' + table + '"'))
        found.push({ table, row: Object.fromEntries(Object.entries(row).map(([name, value]) => [name, shown(value)])) });
    for (const [key, value] of await this.storage.list()) found.push({ table: "list()", row: { key, value: shown(value) } });
    return Response.json(found);
  }
  // An alarm of the copy is nobody's.
  alarm() {}
}
${CLASSES.map((name) => `export class ${name} extends Reader {}`).join("\n")}
export default {
  fetch(request, env) {
    const [, name, id] = new URL(request.url).pathname.split("/");
    return env[name].get(env[name].idFromString(id)).fetch(request);
  },
};`;

/** `[{ class, id, table, row }]`, bytes as `{ hex }`. */
export async function storedRows(persist) {
  const stored = join(persist, "objects");
  if (!existsSync(stored)) throw new Error(`${persist} is no folder of a development server`);
  const copy = mkdtempSync(join(tmpdir(), "choir-rows-"));
  for (const name of CLASSES) await copyObjects(join(stored, `-${name}`), join(copy, `-${name}`));
  const miniflare = new Miniflare({
    modules: true,
    script: READER,
    compatibilityDate: COMPATIBILITY_DATE,
    cf: false,
    telemetry: { enabled: false },
    durableObjects: Object.fromEntries(CLASSES.map((className) => [className, { className, useSQLite: true }])),
    durableObjectsPersist: copy,
    handleRuntimeStdio: (out, err) => (out.resume(), err.resume()),
  });
  try {
    const rows = [];
    for (const name of CLASSES)
      for (const id of objectsOf(join(copy, `-${name}`))) {
        const answer = await miniflare.dispatchFetch(`http://rows.example/${name}/${id}`);
        if (!answer.ok) throw new Error(`${name} ${id}: ${await answer.text()}`);
        for (const row of await answer.json()) rows.push({ class: name, id, ...row });
      }
    return rows;
  } finally {
    await miniflare.dispose();
    rmSync(copy, { recursive: true, force: true });
  }
}

async function copyObjects(from, to) {
  mkdirSync(to);
  for (const id of objectsOf(from)) await copyObject(from, to, id);
}

const stateOf = (path) => {
  const { ino, size, mtimeMs } = lstatSync(path);
  return [path, ino, size, mtimeMs];
};

// A server that lets go of an object folds its log into its database and removes the log: what is
// copied meanwhile is neither, so an object is copied again until its files stayed as they were.
async function copyObject(from, to, id) {
  const files = (folder) => readdirSync(folder).filter((file) => file.startsWith(`${id}.`));
  for (let attempt = 0; attempt < COPY_ATTEMPTS; attempt++) {
    for (const file of files(to)) rmSync(join(to, file));
    try {
      const state = () => JSON.stringify(files(from).map((file) => stateOf(join(from, file))));
      const before = state();
      for (const file of files(from)) copyFileSync(join(from, file), join(to, file));
      if (state() === before) return;
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
    await setTimeout(50);
  }
  throw new Error(`object ${id} in ${from} changed through ${COPY_ATTEMPTS} copies: stop the server, or try again`);
}

// One file for each object, named by its identifier.
function objectsOf(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((file) => /^([0-9a-f]{64})\.sqlite$/.exec(file)?.[1])
    .filter((id) => id !== undefined);
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { persist: { type: "string" } } });
  if (!values.persist) {
    console.error("usage: rows.mjs --persist DIR");
    process.exit(2);
  }
  for (const row of await storedRows(values.persist)) console.log(JSON.stringify(row));
}
