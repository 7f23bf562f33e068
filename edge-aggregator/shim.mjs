// The entry point that workerd loads: hands every call to the wasm module and keeps its promise
// that a panic never hangs a request.
//
// The module is built with panic=abort, so a panic traps (WebAssembly.RuntimeError) and leaves the
// instance unusable. A trap inside a continuation reaches nobody's promise, only the global "error"
// event. So: every call in progress is remembered; a trap fails all of them (their callers get a
// 500), and the next call finds a fresh instance and fresh objects, which read their state from
// storage.
import { WorkerEntrypoint } from "cloudflare:workers";
import * as wasm from "./index.js";

const instance = wasm.__worker_init_state();
const inProgress = new Set();

function trapped(error) {
  if (!(error instanceof WebAssembly.RuntimeError)) return;
  instance.criticalError = true;
  for (const fail of inProgress) fail(error);
  inProgress.clear();
}

addEventListener("error", (event) => trapped(event.error));

function freshInstance() {
  if (!instance.criticalError) return;
  wasm.__wbg_reset_state();
  instance.criticalError = false;
  instance.instanceId++;
}

function guarded(call) {
  return new Promise((resolve, reject) => {
    inProgress.add(reject);
    const settle = (finish) => (value) => {
      inProgress.delete(reject);
      finish(value);
    };
    const fail = settle((error) => {
      trapped(error);
      reject(error);
    });
    try {
      freshInstance();
      Promise.resolve(call()).then(settle(resolve), fail);
    } catch (error) {
      fail(error);
    }
  });
}

// A fault is answered bare: what went wrong is in the log, not in the answer.
function failed(error) {
  console.error(error);
  return new Response("internal error\n", { status: 500 });
}

export default class extends WorkerEntrypoint {
  fetch(request) {
    return guarded(() => wasm.fetch.call(this, request, this.env, this.ctx)).catch(failed);
  }
}

function durable(Inner) {
  return class {
    #state;
    #env;
    #inner;
    #madeIn;

    constructor(state, env) {
      this.#state = state;
      this.#env = env;
    }

    #call(name, args) {
      return guarded(() => {
        if (!this.#inner || this.#madeIn !== instance.instanceId) {
          this.#inner = new Inner(this.#state, this.#env);
          this.#madeIn = instance.instanceId;
        }
        return this.#inner[name](...args);
      });
    }

    fetch(...args) {
      return this.#call("fetch", args).catch(failed);
    }

    // The runtime repeats an alarm that throws, so this one is not caught.
    alarm(...args) {
      return this.#call("alarm", args);
    }

    webSocketMessage(...args) {
      return this.#call("webSocketMessage", args);
    }

    webSocketClose(...args) {
      return this.#call("webSocketClose", args);
    }

    webSocketError(...args) {
      return this.#call("webSocketError", args);
    }
  };
}

export const TaskObject = durable(wasm.TaskObject);
export const RoundObject = durable(wasm.RoundObject);
export const LaneObject = durable(wasm.LaneObject);
export const ReportObject = durable(wasm.ReportObject);
export const HelperObject = durable(wasm.HelperObject);
