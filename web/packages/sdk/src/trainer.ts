/**
 * One interface for training in the page and in a Web Worker. The page's session talks to a
 * `Trainer` and does not know where it lives.
 */

import type { Args, CallName, Message, Request, Result } from "./calls.ts";
import { asChoirError, ChoirError } from "./errors.ts";
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

/** A browser gives no reason for a thread that cannot be loaded. */
const NO_THREAD =
  "the training thread could not be started: thread.js of the @choir/sdk package must lie beside the page's script " +
  "(or where the option `thread` says), and the page's policy must allow it by `worker-src 'self'`";

/** A trainer in a dedicated Web Worker: the training thread. */
export class ThreadTrainer implements Trainer {
  readonly #worker: Promise<Worker | null>;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  #closed: ChoirError | null = null;

  /** Calls wait until the thread has started. */
  constructor(starting: Promise<Worker>, onEvent: (event: ChoirEvent) => void) {
    this.#worker = starting.then(
      (worker) => this.#started(worker, onEvent),
      (thrown: unknown) => this.#fail(asChoirError(thrown)),
    );
  }

  #started(worker: Worker, onEvent: (event: ChoirEvent) => void): Worker | null {
    if (this.#closed !== null) {
      worker.terminate();
      return null;
    }
    worker.onmessage = ({ data }: MessageEvent<Message>) => {
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
    worker.onerror = (event) => {
      this.#fail(event.message ? new ChoirError("internal", event.message) : new ChoirError("missing-file", NO_THREAD));
    };
    return worker;
  }

  call<N extends CallName>(name: N, args: Args<N>): Promise<Result<N>> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    const id = this.#nextId++;
    const request = { id, call: name, args } as unknown as Request;
    return new Promise<Result<N>>((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as Pending["resolve"], reject });
      void this.#worker.then((worker) => worker?.postMessage(request));
    });
  }

  close(): void {
    this.#fail(new ChoirError("closed", "the session was closed"));
  }

  #fail(error: ChoirError): null {
    if (this.#closed !== null) return null;
    this.#closed = error;
    void this.#worker.then((worker) => worker?.terminate());
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    return null;
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}
