// A client of the protocol, by the same module that pages use, with everything of it that a test may
// then look for: keys, commitments, boxes, signatures, shares, the masked vector.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import WebSocket from "ws";
import { hex, Reader } from "./postcard.mjs";

const SITE = process.env.CHOIR_SITE ?? fileURLToPath(new URL("../../target/choir/site", import.meta.url));
const POLICY = { minCohort: 3, corruptPermille: 0, noiseMultiplier: 0, clip: 0, uploads: 65_535 };

// The module is written for pages: Node takes it as an ES module under another name.
export async function loadProtocol() {
  const folder = join(SITE, "wasm/protocol");
  if (!existsSync(folder)) throw new Error(`${folder} is not there: run \`cargo xtask build\``);
  const copy = mkdtempSync(join(tmpdir(), "choir-protocol-"));
  try {
    const script = join(copy, "module.mjs");
    writeFileSync(script, readFileSync(join(folder, "module.js")));
    const module = await import(pathToFileURL(script).href);
    await module.default({ module_or_path: readFileSync(join(folder, "module.wasm")) });
    return module;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

export class Client {
  // Of all that was sent: `{ name, bytes }`.
  traces = [];
  #worker;
  #task;
  #part;
  #socket;
  #held;
  #settle;
  ended = new Promise((resolve) => (this.#settle = resolve));

  // `hold` is called before each message; what it gives back is waited for, and nothing else waits.
  constructor(protocol, worker, task, status, update, { hold = () => undefined } = {}) {
    this.#worker = worker;
    this.#task = task;
    this.#held = hold;
    this.#part = protocol.Participation.join(status, hex(task.taskId), POLICY, update, 5);
  }

  async start() {
    await this.#connect();
    this.#do(this.#part.start());
  }

  // Closes the socket without a word.
  cut() {
    this.#socket.removeAllListeners();
    this.#socket.on("error", () => {});
    this.#socket.terminate();
    this.#part.disconnected();
  }

  async resume() {
    await this.#connect();
    this.#do(this.#part.reconnected());
  }

  async #connect() {
    const url = new URL(`${this.#task.roundPath}/socket`, this.#worker.url);
    url.protocol = "ws:";
    this.#socket = new WebSocket(url);
    this.#socket.on("message", (frame) => {
      try {
        this.#do(this.#part.message(new Uint8Array(frame)));
      } catch (error) {
        this.#settle(error);
      }
    });
    await new Promise((resolve, reject) => this.#socket.on("open", resolve).on("error", reject));
  }

  #do(effects) {
    for (const effect of effects) {
      if (effect.kind === "send") void this.#send(effect.bytes);
      else if (effect.kind === "upload") this.#upload(effect.bytes).catch(this.#settle);
      else if (effect.kind === "finished" || effect.kind === "left") this.#settle(effect);
    }
  }

  async #send(frame) {
    this.#note(frame);
    const held = this.#held(frame[1]);
    if (held) await held;
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(frame);
  }

  async #upload(body) {
    const from = new Reader(body);
    from.raw(16);
    from.varint();
    this.#keep("upload signature", from.raw(64));
    const words = from.raw(from.varint());
    for (let at = 0; at + 32 <= words.length; at += 32) this.#keep("masked vector", words.slice(at, at + 32));
    await this.#held("upload");
    const answer = await this.#worker.call(`${this.#task.roundPath}/upload`, { method: "POST", body });
    this.#do(this.#part.uploaded(answer.status, answer.body));
  }

  #note(frame) {
    const from = new Reader(frame);
    const variant = from.varint();
    from.raw(16);
    if (variant === 0) {
      from.varint();
      for (const key of ["signing key", "channel key", "mask key"]) this.#keep(key, from.raw(32));
    } else if (variant === 1) {
      from.seq((list) => list.varint());
      this.#keep("commitment", from.raw(32));
      this.#keep("commitment", from.raw(32));
      this.#cut("sealed box", from, 80);
    } else if (variant === 2) {
      from.varint();
      this.#keep("acknowledgement", from.raw(64));
    } else if (variant === 3) this.#cut("share", from, 32);
  }

  #cut(name, from, size) {
    const all = from.raw(from.varint());
    for (let at = 0; at + size <= all.length; at += size) this.#keep(name, all.slice(at, at + size));
  }

  #keep(name, bytes) {
    this.traces.push({ name, bytes: new Uint8Array(bytes) });
  }
}
