// Plays the aggregator's side of a round, one request for each step. Uploads come as they do to a
// round's object: read outside of the module's memory, hashed by the runtime.
import wasm from "./rehearsed_bg.wasm";
import { AggregatorRehearsal, initSync } from "./rehearsed.js";

initSync({ module: wasm });
let play;

async function take(request) {
  const body = new Uint8Array(await request.arrayBuffer());
  const words = body.subarray(body.length - play.packedBytes());
  play.take(body, new Uint8Array(await crypto.subtle.digest("SHA-256", words)));
}

const steps = {
  "/open": async (request) => {
    play?.free();
    play = new AggregatorRehearsal(new Uint8Array(await request.arrayBuffer()));
  },
  "/hear": async (request) => play.hear(new Uint8Array(await request.arrayBuffer())),
  "/take": take,
  "/expand": async () => {
    play.expand();
    return play.sum();
  },
};

export default {
  async fetch(request) {
    const step = steps[new URL(request.url).pathname];
    try {
      return new Response((await step(request)) ?? "");
    } catch (error) {
      return new Response(String(error?.message ?? error), { status: 500 });
    }
  },
};
