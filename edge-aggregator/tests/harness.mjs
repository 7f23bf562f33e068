// A worker of its own for each test file, and the operator's calls.
import { createHash } from "node:crypto";
import { request } from "node:http";
import { fileURLToPath } from "node:url";
import { Miniflare } from "miniflare";
import { options } from "../dev/miniflare.mjs";
import { hex, Reader, Writer } from "./postcard.mjs";

export const WORKER = process.env.CHOIR_WORKER ?? fileURLToPath(new URL("../../target/choir/worker", import.meta.url));
// Only ever known to a worker that a test started.
export const SECRET = "for-tests-only-0123456789abcdef";
export const ORIGIN = "https://page.example";

const patience = () => AbortSignal.timeout(10_000);

// `change` gets the options of Miniflare and gives back others.
export async function startWorker({ persist, metricsToken, helper, change = (usual) => usual } = {}) {
  const miniflare = new Miniflare({
    ...change(options({ worker: WORKER, persist, operatorSecret: SECRET, metricsToken, helper, allowedOrigins: ORIGIN })),
    handleRuntimeStdio: (out, err) => (out.resume(), err.resume()),
  });
  const url = await miniflare.ready;

  async function call(path, init = {}) {
    // Over a real connection, so that bodies declare their length as a browser's do.
    const response = await fetch(new URL(path, url), { signal: patience(), ...init });
    const body = new Uint8Array(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, body, text: new TextDecoder().decode(body).trim() };
  }

  const asOperator = { authorization: `Bearer ${SECRET}` };
  return {
    url,
    call,
    operator: (method, path, body) => call(path, { method, headers: asOperator, ...(body && { body }) }),
    // Only the head of a request, with what it declares: the answer must not wait for the body.
    announce: (method, path, headers) =>
      new Promise((resolve, reject) => {
        const call = request(new URL(path, url), { method, headers, timeout: 10_000 }, (response) => {
          resolve(response.statusCode);
          call.destroy();
        });
        call.on("error", reject);
        call.flushHeaders();
      }),
    asOperator,
    // Stores bytes under their own digest, which is returned.
    async put(bytes) {
      const digest = createHash("sha256").update(bytes).digest();
      const { status } = await call(`/v1/objects/${hex(digest)}`, { method: "PUT", headers: asOperator, body: bytes });
      if (status !== 200) throw new Error(`object refused with ${status}`);
      return digest;
    },
    // What is kept under OBJECTS, behind the worker's back.
    bucket: () => miniflare.getR2Bucket("OBJECTS"),
    close: () => miniflare.dispose(),
  };
}

export { hex, Reader, Writer };
