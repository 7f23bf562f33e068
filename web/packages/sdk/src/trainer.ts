/**
 * One interface for training in the page and in a Web Worker. The page's session talks to a
 * `Trainer` and does not know where it lives.
 */

import type { Args, CallName, Message, Request, Result } from "./calls.ts";
import { ChoirError } from "./errors.ts";
import type { ChoirEvent } from "./events.ts";

/** Trains a tab's own examples and takes its part in the rounds of a task. */
export interface Trainer {
  call<N extends CallName>(name: N, args: Args<N>): Promise<Result<N>>;
  /** Ends it at once: sockets are closed, what was trained is gone. */
  close(): void;
}

interface Pending {
  resolve(result: Result<CallName>): void;
  reject(error: ChoirError): void;
}

/** A trainer in a dedicated Web Worker: the training thread. */
export class ThreadTrainer implements Trainer {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  #closed: ChoirError | null = null;

  constructor(thread: string | URL, onEvent: (event: ChoirEvent) => void) {
    this.#worker = new Worker(thread, { type: "module", name: "training thread" });
    this.#worker.onmessage = ({ data }: MessageEvent<Message>) => {
      switch (data.kind) {
        case "event":
          return onEvent(data.event);
        case "result":
          return this.#settle(data.id)?.resolve(data.result);
        case "error":
          return this.#settle(data.id)?.reject(new ChoirError(data.code, data.message));
        default:
          data satisfies never;
      }
    };
    this.#worker.onerror = (event) => {
      this.#fail(new ChoirError("internal", event.message || "the training thread did not start"));
    };
  }

  call<N extends CallName>(name: N, args: Args<N>): Promise<Result<N>> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    const id = this.#nextId++;
    const request = { id, call: name, args } as unknown as Request;
    return new Promise<Result<N>>((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as Pending["resolve"], reject });
      this.#worker.postMessage(request);
    });
  }

  close(): void {
    this.#fail(new ChoirError("closed", "the session was closed"));
  }

  #fail(error: ChoirError): void {
    if (this.#closed !== null) return;
    this.#closed = error;
    this.#worker.terminate();
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}
