/** The public entry: a page names the aggregator, its policy and an engine, and joins. */

import type { Origin } from "./calls.ts";
import { ChoirError } from "./errors.ts";
import type { EngineWish, TaskSummary } from "./events.ts";
import { EventStream } from "./events.ts";
import type { Policy, UploadCount } from "./policy.ts";
import { browserUploadCount, DEFAULT_POLICY } from "./policy.ts";
import type { JoinOptions } from "./session.ts";
import { Session } from "./session.ts";
import type { Trainer } from "./trainer.ts";
import { ThreadTrainer } from "./trainer.ts";

export interface ChoirOptions {
  /** The edge aggregator's address; the page's own origin if not given. */
  readonly aggregator?: string;
  /** The task, hex; the one that the site points at if not given. */
  readonly task?: string;
  /** The page's conditions; the privacy floor if not given. */
  readonly policy?: Policy;
  /** `auto` if not given: measures a short product once and takes the faster. */
  readonly engine?: EngineWish;
  /** The training thread's script. */
  readonly thread?: string | URL;
  /** The folder of the wasm modules. */
  readonly modules?: string | URL;
  /** Counts this visitor's uploads; in `localStorage` if not given. */
  readonly uploadCount?: UploadCount;
}

/** A page's door to one task. Nothing is fetched before `describe` or `join`. */
export interface Choir {
  /** What the task is, before anything is trained; `null` where the site has none. */
  describe(): Promise<TaskSummary | null>;
  /** Takes part with the visitor's examples. */
  join(options: JoinOptions): Promise<Session>;
  /** Ends whatever runs. */
  close(): void;
}

/** Sets up taking part in a task. */
export function createChoir(options: ChoirOptions = {}): Choir {
  return new PageChoir(options);
}

class PageChoir implements Choir {
  readonly #options: ChoirOptions;
  #trainer: Trainer | null = null;
  #events = new EventStream();
  #session: Session | null = null;

  constructor(options: ChoirOptions) {
    this.#options = options;
    // A closed or hidden-for-good page must not keep a cohort waiting: its socket goes with the thread.
    addEventListener("pagehide", () => this.close());
  }

  describe(): Promise<TaskSummary | null> {
    const { task = null } = this.#options;
    return this.#thread().call("describe", { origin: this.#origin(), task });
  }

  async join(join: JoinOptions): Promise<Session> {
    if (this.#session !== null) throw new ChoirError("closed", "this choir has been joined already");
    const summary = await this.describe();
    if (summary === null) throw new ChoirError("bad-task", "the site has no task yet");
    const { policy = DEFAULT_POLICY, uploadCount = browserUploadCount() } = this.#options;
    const engine = join.engine ?? this.#options.engine ?? "auto";
    const setup = { ...join, task: summary.task, engine, policy, uploadCount };
    this.#session = new Session(this.#thread(), this.#events, setup);
    return this.#session;
  }

  close(): void {
    this.#session?.close();
    this.#trainer?.close();
    this.#trainer = null;
  }

  #thread(): Trainer {
    const { thread = new URL("thread.js", document.baseURI) } = this.#options;
    this.#trainer ??= new ThreadTrainer(thread, (event) => this.#events.push(event));
    return this.#trainer;
  }

  #origin(): Origin {
    const { aggregator = location.origin, modules = new URL("wasm/", document.baseURI) } = this.#options;
    return { aggregator, modules: String(modules) };
  }
}
