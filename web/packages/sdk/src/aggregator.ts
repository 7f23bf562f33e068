/** The edge aggregator's routes, with the bytes that they cost. */

import { asChoirError, ChoirError } from "./errors.ts";
import type { Recorder, RoundFacts } from "./receipt.ts";
import { notAnAggregator, refusal, unreachable } from "./remedies.ts";

/** Payload bytes of one round of one tab. */
export class ByteMeter {
  up = 0;
  down = 0;

  reset(): void {
    this.up = 0;
    this.down = 0;
  }
}

const ATTEMPTS = 4;
const FIRST_WAIT_MS = 250;

export class Aggregator {
  readonly #base: string;

  constructor(
    base: string,
    readonly meter: ByteMeter,
    /** Told of everything before it is sent. */
    readonly recorder: Recorder,
  ) {
    this.#base = base.replace(/\/$/, "");
  }

  /** Wire bytes of the site's status. */
  site(): Promise<Uint8Array> {
    return this.#get("/v1/site");
  }

  /** Wire bytes of a task's status. */
  task(task: string): Promise<Uint8Array> {
    return this.#get(`/v1/tasks/${task}`);
  }

  /** Where an object is. */
  objectUrl(digest: string): string {
    return `${this.#base}/v1/objects/${digest}`;
  }

  /** Asks for an object; the browser keeps no copy beside the one that this SDK keeps. */
  fetchObject(digest: string): Promise<Response> {
    return this.#ask(this.objectUrl(digest));
  }

  /** Opens the socket of a round. */
  async socket(task: string, round: RoundFacts): Promise<WebSocket> {
    const url = this.socketUrl(task, round.round);
    await this.recorder.note({ kind: "socket open", what: "request", method: "GET", url, round });
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    return socket;
  }

  /** Where the socket of a round is. */
  socketUrl(task: string, round: string): URL {
    const url = new URL(`${this.#base}/v1/tasks/${task}/rounds/${round}/socket`);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url;
  }

  /**
   * Uploads a masked vector. Only a request that got no answer is sent again, and it is the same
   * request: the aggregator takes a client's vector once.
   */
  async upload(task: string, round: RoundFacts, body: Uint8Array): Promise<{ status: number; body: Uint8Array }> {
    return this.#post(`/v1/tasks/${task}/rounds/${round.round}/upload`, round, body);
  }

  /** Sends a report, and the same bytes again where no answer came: the leader takes a report once. */
  async report(task: string, round: RoundFacts, body: Uint8Array): Promise<{ status: number; body: Uint8Array }> {
    return this.#post(`/v1/tasks/${task}/rounds/${round.round}/reports`, round, body);
  }

  async #post(path: string, round: RoundFacts, body: Uint8Array): Promise<{ status: number; body: Uint8Array }> {
    const url = this.#base + path;
    const response = await retried(async () => {
      await this.recorder.note({ kind: "upload", what: "masked update", method: "POST", url, body, round, masked: true });
      return fetch(url, {
        method: "POST",
        headers: { "content-type": "application/octet-stream" },
        body: body as Uint8Array<ArrayBuffer>,
      });
    });
    const answer = new Uint8Array(await response.arrayBuffer());
    this.meter.up += body.length;
    this.meter.down += answer.length;
    return { status: response.status, body: answer };
  }

  async #get(path: string): Promise<Uint8Array> {
    const parties = { aggregator: this.#base, page: location.origin };
    const response = await retried(() => this.#ask(this.#base + path)).catch((thrown: unknown) => {
      throw unreachable(parties, asChoirError(thrown).message);
    });
    if (!response.ok) throw refusal(parties, path, response.status, await response.text());
    const type = response.headers.get("content-type") ?? "";
    if (type.startsWith("text/")) throw notAnAggregator(parties, `its answer to ${path} is ${type}`);
    const body = new Uint8Array(await response.arrayBuffer());
    this.meter.down += body.length;
    return body;
  }

  async #ask(url: string): Promise<Response> {
    await this.recorder.note({ kind: "request", what: "request", method: "GET", url });
    return fetch(url, { cache: "no-store" });
  }
}

/** Waits for `milliseconds`, more or less: many tabs must not come back at the same moment. */
export function jitteredWait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds * (0.75 + Math.random() / 2)));
}

/** Tries again where the network failed or the aggregator was busy (5xx). */
export async function retried(request: () => Promise<Response>): Promise<Response> {
  let failure = "no answer";
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    if (attempt > 0) await jitteredWait(FIRST_WAIT_MS * 2 ** attempt);
    try {
      const response = await request();
      if (response.status < 500) return response;
      failure = `status ${response.status}`;
    } catch (thrown) {
      failure = thrown instanceof Error ? thrown.message : String(thrown);
    }
  }
  throw new ChoirError("network", `the aggregator gave no answer: ${failure}`);
}
