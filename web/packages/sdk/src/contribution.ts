/**
 * One client's way through one round: carries bytes between the protocol module, which decides
 * everything, and the aggregator. Messages are taken strictly one after the other.
 */

import type { Aggregator } from "./aggregator.ts";
import { jitteredWait } from "./aggregator.ts";
import type { Contribution } from "./calls.ts";
import { asChoirError } from "./errors.ts";
import type { ChoirEvent } from "./events.ts";
import type { Effect, ParticipationHandle, Receipt } from "./modules.ts";
import type { RoundFacts } from "./receipt.ts";

/** What a round needs of its surroundings. */
export interface RoundContext {
  readonly aggregator: Aggregator;
  readonly task: string;
  readonly round: RoundFacts;
  readonly version: number;
  readonly participation: ParticipationHandle;
  readonly msPerStep: number | null;
  readonly signal: AbortSignal;
  readonly emit: (event: ChoirEvent) => void;
  /** Done before the masked update leaves the tab. */
  readonly beforeUpload: () => Promise<void>;
}

/** `again`: nothing was joined; the same update may join another round of the same version. */
export type RoundOutcome = Contribution | { readonly outcome: "again" };

type Item =
  | { readonly kind: "open" }
  | { readonly kind: "message"; readonly bytes: Uint8Array }
  | { readonly kind: "closed" }
  | { readonly kind: "leave" };

const MOST_ATTEMPTS = 12;
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 5_000;

/** Joins the round and stays to its end. */
export async function contribute(context: RoundContext): Promise<RoundOutcome> {
  const drive = new RoundDrive(context);
  try {
    return await drive.run();
  } finally {
    drive.close();
  }
}

class RoundDrive {
  readonly #context: RoundContext;
  readonly #items: Item[] = [];
  #wake: (() => void) | null = null;
  #socket: WebSocket | null = null;
  #started = false;
  #framesSent = 0;
  #uploaded = false;
  #attempts = 0;

  constructor(context: RoundContext) {
    this.#context = context;
    context.signal.addEventListener("abort", this.#leave);
  }

  async run(): Promise<RoundOutcome> {
    if (this.#context.signal.aborted) return this.#left("the visitor left", "visitor");
    await this.#connect();
    for (;;) {
      const outcome = await this.#take(await this.#next());
      if (outcome !== null) return outcome;
    }
  }

  close(): void {
    this.#context.signal.removeEventListener("abort", this.#leave);
    this.#drop();
    this.#context.participation.free();
  }

  readonly #leave = () => this.#push({ kind: "leave" });

  async #take(item: Item): Promise<RoundOutcome | null> {
    const { participation, aggregator } = this.#context;
    switch (item.kind) {
      case "open":
        return this.#opened();
      case "message":
        aggregator.meter.down += item.bytes.length;
        return this.#apply(participation.message(item.bytes));
      case "closed":
        return this.#closed();
      case "leave":
        return this.#left("the visitor left", "visitor");
      default:
        return item satisfies never;
    }
  }

  #opened(): Promise<RoundOutcome | null> {
    const { participation, emit, round, version } = this.#context;
    this.#attempts = 0;
    if (this.#started) {
      emit({ kind: "connection", state: "back" });
      return this.#apply(participation.reconnected());
    }
    this.#started = true;
    emit({ kind: "joining", round: round.round, version });
    return this.#apply(participation.start());
  }

  async #closed(): Promise<RoundOutcome | null> {
    const { participation, emit } = this.#context;
    this.#drop();
    this.#attempts += 1;
    if (!this.#started && this.#attempts >= 3) return { outcome: "again" };
    if (this.#attempts > MOST_ATTEMPTS) return this.#left("the connection to the aggregator was lost");
    if (this.#started && this.#attempts === 1) {
      emit({ kind: "connection", state: "lost" });
      const outcome = await this.#apply(participation.disconnected());
      if (outcome !== null) return outcome;
    }
    await jitteredWait(Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempts));
    await this.#connect();
    return null;
  }

  async #apply(effects: readonly Effect[]): Promise<RoundOutcome | null> {
    for (const effect of effects) {
      const outcome = await this.#carryOut(effect);
      if (outcome !== null) return outcome;
    }
    return null;
  }

  async #carryOut(effect: Effect): Promise<RoundOutcome | null> {
    const { emit } = this.#context;
    switch (effect.kind) {
      case "send":
        await this.#send(effect.bytes);
        return null;
      case "upload":
        return this.#upload(effect.bytes);
      case "lobby": {
        const { joined, cohortSize, minCohort } = effect;
        emit({ kind: "lobby", joined, cohortSize, minCohort });
        return null;
      }
      case "phase":
        emit({ kind: "phase", phase: effect.phase });
        return null;
      case "finished":
        return this.#published(effect.receipt);
      case "left":
        return this.#afterLeaving(effect.reason, effect.next);
      default:
        return effect satisfies never;
    }
  }

  #afterLeaving(reason: string, next: "retrain" | "again" | "stop"): RoundOutcome {
    switch (next) {
      case "retrain":
        return { outcome: "retrain", reason };
      case "again":
        // A vector that was masked and sent once is never masked again.
        return this.#uploaded ? { outcome: "retrain", reason } : { outcome: "again" };
      case "stop":
        return this.#left(reason);
      default:
        return next satisfies never;
    }
  }

  async #send(bytes: Uint8Array): Promise<void> {
    const { aggregator, task, round } = this.#context;
    const socket = this.#socket;
    // A frame lost with its socket is made good by the Resume after the next `open`.
    if (socket?.readyState !== WebSocket.OPEN) return;
    const what = this.#framesSent === 0 ? "join" : "protocol message";
    this.#framesSent += 1;
    const url = aggregator.socketUrl(task, round.round);
    await aggregator.recorder.note({ kind: "socket message", what, method: "GET", url, body: bytes, round });
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send(bytes as Uint8Array<ArrayBuffer>);
    aggregator.meter.up += bytes.length;
  }

  async #upload(bytes: Uint8Array): Promise<RoundOutcome | null> {
    const { aggregator, task, round, participation } = this.#context;
    try {
      await this.#context.beforeUpload();
      this.#uploaded = true;
      const answer = await aggregator.upload(task, round, bytes);
      return await this.#apply(participation.uploaded(answer.status, answer.body));
    } catch (thrown) {
      return this.#left(asChoirError(thrown).message);
    }
  }

  #published(receipt: Receipt): Contribution {
    const { round, aggregator, msPerStep } = this.#context;
    const { up: bytesUp, down: bytesDown } = aggregator.meter;
    return { outcome: "published", report: { round: round.round, ...receipt, bytesUp, bytesDown, msPerStep } };
  }

  #left(reason: string, by: "visitor" | "round" = "round"): Contribution {
    return { outcome: "left", by, reason, uploaded: this.#uploaded };
  }

  async #connect(): Promise<void> {
    const socket = await this.#context.aggregator.socket(this.#context.task, this.#context.round);
    this.#socket = socket;
    socket.onopen = () => this.#push({ kind: "open" });
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (data instanceof ArrayBuffer) this.#push({ kind: "message", bytes: new Uint8Array(data) });
    };
    socket.onclose = () => this.#push({ kind: "closed" });
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #push(item: Item): void {
    this.#items.push(item);
    this.#wake?.();
  }

  async #next(): Promise<Item> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) return item;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
  }
}
