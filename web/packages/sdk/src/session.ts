/**
 * A visitor's session in a task: train first, then join, then the next round from the new version.
 * It runs in the page and only decides; training, keys and sockets are the trainer's.
 */

import type { Classification } from "./calls.ts";
import type { ChoirErrorCode } from "./errors.ts";
import { asChoirError } from "./errors.ts";
import type { ChoirEvent, EngineKind, EngineWish, StopReason } from "./events.ts";
import { EventStream } from "./events.ts";
import type { Example } from "./examples.ts";
import type { HeldOutOptions } from "./held_out.ts";
import { DEFAULT_HELD_OUT } from "./held_out.ts";
import type { PauseCause } from "./pauses.ts";
import { DEFAULT_PAUSES, watchPauses } from "./pauses.ts";
import type { Policy, UploadCount } from "./policy.ts";
import type { PrivacyReceipt } from "./receipt.ts";
import type { Trainer } from "./trainer.ts";

export interface JoinOptions {
  /** The visitor's own examples. They stay in the tab. */
  readonly examples: readonly Example[];
  /** Ends the session. */
  readonly signal?: AbortSignal;
  /** Rounds to take part in; as many as the policy and the task have, if not given. */
  readonly rounds?: number;
  readonly heldOut?: HeldOutOptions;
  /** Another engine than the choir's. */
  readonly engine?: EngineWish;
  /** Orders the examples; random if not given. */
  readonly seed?: number;
  /**
   * Keeps the examples in this browser while a training is unfinished, so that a reload can go on
   * without them being given again. Off if not given: ask the visitor.
   */
  readonly keepExamples?: boolean;
  /**
   * Most bytes of GPU memory that training may take; no bound of the page's own if not given. Where a
   * step would take more, some values are computed twice; where it still would, the CPU trains.
   */
  readonly maxGpuBytes?: number;
  /** When training pauses; while the tab is hidden or the battery runs down, if not given. A round that is joined goes on. */
  readonly pauseWhile?: readonly PauseCause[];
}

export interface SessionSetup extends JoinOptions {
  readonly task: string;
  readonly engine: EngineWish;
  readonly cpuThreads: number | null;
  readonly policy: Policy;
  readonly uploadCount: UploadCount;
  /** What has left this browser, as the choir knows it. */
  readonly receipt: () => Promise<PrivacyReceipt>;
}

const STOP_OF: Partial<Record<ChoirErrorCode, StopReason>> = {
  "not-finite": "not-finite",
  policy: "cannot-join",
};

/** A running session: an asynchronous stream of events, and what a visitor may ask of it. */
export class Session implements AsyncIterable<ChoirEvent> {
  readonly #trainer: Trainer;
  readonly #setup: SessionSetup;
  readonly #events: EventStream;
  #task: string;
  readonly #endWatch: () => void;
  #rounds = 0;

  /** Starts at once. The trainer's own events must go to `events`. */
  constructor(trainer: Trainer, events: EventStream, setup: SessionSetup) {
    this.#trainer = trainer;
    this.#events = events;
    this.#setup = setup;
    this.#task = setup.task;
    setup.signal?.addEventListener("abort", () => this.leave());
    this.#endWatch = watchPauses(setup.pauseWhile ?? DEFAULT_PAUSES, (reason) => {
      void trainer.call("hold", { reason }).catch(() => undefined);
    });
    void this.#run();
  }

  [Symbol.asyncIterator](): AsyncIterator<ChoirEvent> {
    return this.#events[Symbol.asyncIterator]();
  }

  /** The most likely labels of a text by the model as this tab has it now. */
  async classify(text: string): Promise<Classification> {
    const [result] = await this.#trainer.call("classify", { texts: [text] });
    if (result === undefined) throw asChoirError("no answer");
    return result;
  }

  /**
   * The adapter as this tab's last finished training made it, before anything was summed; `null` before
   * that. It is as telling as the text it was trained on: keep it in the tab.
   */
  trainedAdapter(): Promise<Float32Array | null> {
    return this.#trainer.call("trainedAdapter", {});
  }

  /** What has left this browser for Choir: sizes and digests, never content. */
  receipt(): Promise<PrivacyReceipt> {
    return this.#setup.receipt();
  }

  /** Changes the engine; a round in training goes on from its last checkpoint. */
  async useEngine(engine: EngineKind): Promise<void> {
    await this.#trainer.call("useEngine", { engine });
  }

  /** Leaves the round, if one is on, deletes its checkpoint, and ends the session. */
  leave(): void {
    void this.#trainer.call("leave", {}).catch(() => undefined);
  }

  /** Ends everything at once, the training thread too. */
  close(): void {
    this.#stop("left", null, "the session was closed");
    this.#trainer.close();
  }

  async #run(): Promise<void> {
    try {
      if (this.#setup.signal?.aborted === true) return this.#stop("left", null, "left before the start");
      await this.#open();
      let more = true;
      while (more) more = await this.#round();
    } catch (thrown) {
      const { code, message } = asChoirError(thrown);
      if (code === "closed") this.#stop("left", null, message);
      else this.#stop(STOP_OF[code] ?? "failed", code, message);
    }
  }

  async #open(): Promise<void> {
    const { engine, cpuThreads, policy, examples, heldOut = DEFAULT_HELD_OUT, seed = null, keepExamples = false } = this.#setup;
    const maxGpuBytes = this.#setup.maxGpuBytes ?? null;
    const how = { engine, cpuThreads, policy, seed, keepExamples, maxGpuBytes };
    await this.#trainer.call("open", { task: this.#task, examples, heldOut, ...how });
  }

  /** One training and, if it went well, one round. False ends the session. */
  async #round(): Promise<boolean> {
    if (this.#setup.uploadCount.used(this.#task) >= this.#setup.policy.uploads) {
      return this.#end("uploads-used", "this visitor has given as many updates as the page's policy allows");
    }
    const trained = await this.#trainer.call("train", {});
    switch (trained.outcome) {
      case "trained":
        return this.#contribute();
      case "finished":
        return this.#follow(trained.successor);
      default:
        return trained satisfies never;
    }
  }

  async #follow(successor: string | null): Promise<boolean> {
    if (successor === null) return this.#end("task-finished", "the task has had all its rounds");
    this.#task = successor;
    this.#events.push({ kind: "successor", task: successor });
    await this.#open();
    return true;
  }

  async #contribute(): Promise<boolean> {
    const result = await this.#trainer.call("contribute", {});
    switch (result.outcome) {
      case "published": {
        this.#setup.uploadCount.add(this.#task);
        this.#rounds += 1;
        this.#events.push({ kind: "round", ...result.report });
        if (this.#rounds < (this.#setup.rounds ?? Infinity)) return true;
        await this.#trainer.call("evaluate", {});
        return this.#end("rounds-done", "took part in as many rounds as the page asked for");
      }
      case "retrain":
        this.#events.push({ kind: "retrain", reason: result.reason });
        return true;
      case "left":
        if (result.uploaded) this.#setup.uploadCount.add(this.#task);
        return this.#end(result.by === "visitor" ? "left" : "cannot-join", result.reason);
      default:
        return result satisfies never;
    }
  }

  #end(reason: StopReason, message: string): false {
    this.#stop(reason, null, message);
    return false;
  }

  #stop(reason: StopReason, code: ChoirErrorCode | null, message: string): void {
    this.#endWatch();
    this.#events.push({ kind: "stopped", reason, code, message });
    this.#events.end();
  }
}
