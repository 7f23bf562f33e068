/** The public entry: a page names the aggregator, its policy and an engine, and joins. */

import type { Classification, Origin } from "./calls.ts";
import type { UnfinishedTraining } from "./checkpoint_files.ts";
import { unfinishedTraining } from "./checkpoint_files.ts";
import { asChoirError, ChoirError } from "./errors.ts";
import type { ChoirEvent, EngineWish, TaskSummary } from "./events.ts";
import { EventStream } from "./events.ts";
import { moduleTable, startThread } from "./files.ts";
import { forgetEverything, onForget } from "./forget.ts";
import type { TaskLedger } from "./ledger.ts";
import { keptLedger } from "./ledger.ts";
import { watchPageFiles } from "./loaded_files.ts";
import type { Policy, UploadCount } from "./policy.ts";
import { browserUploadCount, DEFAULT_POLICY } from "./policy.ts";
import type { PrivacyReceipt, ReceiptEntry } from "./receipt.ts";
import { asReceipt, keptReceipt } from "./receipt.ts";
import type { JoinOptions } from "./session.ts";
import { Session } from "./session.ts";
import type { Trainer } from "./trainer.ts";
import { ThreadTrainer } from "./trainer.ts";
import { WritingAssistant } from "./writing_assistant.ts";

export interface ChoirOptions {
  /** The edge aggregator's address; the page's own origin if not given. */
  readonly aggregator?: string;
  /** The task, hex; the one that the site points at if not given. */
  readonly task?: string;
  /** The page's conditions; the privacy floor if not given. */
  readonly policy?: Policy;
  /** `auto` if not given: measures a short product once and takes the faster. */
  readonly engine?: EngineWish;
  /**
   * Most threads that engine cpu trains in, one copy of the model each: 2 if not given, and never more
   * than the machine has cores. 1 for the training thread alone.
   */
  readonly cpuThreads?: number;
  /** The training thread's script; `thread.js` beside the page's script if not given. */
  readonly thread?: string | URL;
  /** The folder of the wasm modules, with a slash at its end; `wasm/` beside the page's script if not given. */
  readonly modules?: string | URL;
  /** Counts this visitor's uploads; in `localStorage` if not given. */
  readonly uploadCount?: UploadCount;
  /** The name under which the receipt lists what this choir sends; `visitor` if not given. */
  readonly visitor?: string;
  /** False for a choir that writes neither checkpoints nor the ledger, as simulated visitors do. */
  readonly records?: boolean;
}

export interface PredictOptions {
  /** Told what is loaded, and which engine is used. */
  readonly onEvent?: (event: ChoirEvent) => void;
}

/** A page's door to one task. Nothing is fetched before `describe`, `join` or `predict`. */
export interface Choir {
  /** What the task is, before anything is trained; `null` where the site has none. */
  describe(): Promise<TaskSummary | null>;
  /** Takes part with the visitor's examples. */
  join(options: JoinOptions): Promise<Session>;
  /**
   * The newest global adapter's labels for a text, in a thread of its own: without taking part, and
   * without the text leaving the tab. The first call loads the model.
   */
  predict(text: string, options?: PredictOptions): Promise<Classification>;
  /**
   * Goes on with texts by a language task's decoder, in a thread of its own and without taking part:
   * what `predict` is to a classifier. The model is loaded by its first suggestion.
   */
  writingAssistant(options?: PredictOptions & { readonly engine?: EngineWish }): WritingAssistant;
  /** What has left this browser on this site for Choir: sizes and digests, never content. */
  receipt(): Promise<PrivacyReceipt>;
  /** In which rounds this browser has taken part, and what that has cost; read here, sent nowhere. */
  ledger(): Promise<readonly TaskLedger[]>;
  /** A training that a reload has interrupted, if there is one; nothing is fetched for this. */
  unfinished(): Promise<UnfinishedTraining | null>;
  /** Leaves, in every tab of this site, and deletes everything that Choir keeps in this browser. */
  forget(): Promise<void>;
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
  #reader: Reader | null = null;
  #assistants: WritingAssistant[] = [];
  #events = new EventStream();
  #session: Session | null = null;
  /** For where the browser denies storage. */
  #sent: ReceiptEntry[] = [];

  constructor(options: ChoirOptions) {
    this.#options = options;
    onForget(() => this.close());
    // A closed or hidden-for-good page must not keep a cohort waiting: its socket goes with the thread.
    addEventListener("pagehide", () => this.close());
  }

  describe(): Promise<TaskSummary | null> {
    return this.#describeOn(this.#thread());
  }

  async join(join: JoinOptions): Promise<Session> {
    if (this.#session !== null) throw new ChoirError("closed", "this choir has been joined already");
    const summary = await this.describe();
    if (summary === null) throw new ChoirError("bad-task", "the site has no task yet");
    const { policy = DEFAULT_POLICY, uploadCount = browserUploadCount(), cpuThreads = null } = this.#options;
    const engine = join.engine ?? this.#options.engine ?? "auto";
    const receipt = () => this.receipt();
    const setup = { ...join, task: summary.task, engine, cpuThreads, policy, uploadCount, receipt };
    this.#session = new Session(this.#thread(), this.#events, setup);
    return this.#session;
  }

  async predict(text: string, { onEvent }: PredictOptions = {}): Promise<Classification> {
    const reader = (this.#reader ??= this.#openReader());
    if (onEvent !== undefined) reader.onEvent = onEvent;
    try {
      reader.task ??= await this.#taskOf(reader.trainer);
      const { engine = "auto" } = this.#options;
      const [result] = await reader.trainer.call("predict", { task: reader.task, engine, texts: [text] });
      if (result === undefined) throw new ChoirError("internal", "no answer");
      return result;
    } catch (thrown) {
      // Without a network the loaded model is kept; else the next call starts anew.
      if (asChoirError(thrown).code !== "network") {
        reader.trainer.close();
        if (this.#reader === reader) this.#reader = null;
      }
      throw thrown;
    }
  }

  writingAssistant({ onEvent, engine }: PredictOptions & { readonly engine?: EngineWish } = {}): WritingAssistant {
    const trainer = new ThreadTrainer(this.#startThread(), (event) => {
      this.#hear(event);
      onEvent?.(event);
    });
    let task: Promise<string> | null = null;
    const assistant = new WritingAssistant({
      trainer,
      engine: engine ?? this.#options.engine ?? "auto",
      task: () => {
        const asked = (task ??= this.#taskOf(trainer));
        asked.catch(() => (task = null));
        return asked;
      },
    });
    this.#assistants.push(assistant);
    return assistant;
  }

  async receipt(): Promise<PrivacyReceipt> {
    return (await keptReceipt()) ?? asReceipt(this.#sent, new Date(), location.origin);
  }

  ledger(): Promise<readonly TaskLedger[]> {
    return keptLedger();
  }

  unfinished(): Promise<UnfinishedTraining | null> {
    return unfinishedTraining(this.#options.task ?? null);
  }

  async forget(): Promise<void> {
    this.#session?.leave();
    this.close();
    this.#sent = [];
    await forgetEverything();
  }

  close(): void {
    this.#reader?.trainer.close();
    this.#reader = null;
    for (const assistant of this.#assistants.splice(0)) assistant.close();
    this.#session?.close();
    this.#trainer?.close();
    this.#trainer = null;
  }

  #thread(): Trainer {
    this.#trainer ??= new ThreadTrainer(this.#startThread(), (event) => {
      this.#hear(event);
      this.#events.push(event);
    });
    return this.#trainer;
  }

  #openReader(): Reader {
    const trainer = new ThreadTrainer(this.#startThread(), (event) => {
      this.#hear(event);
      reader.onEvent?.(event);
    });
    const reader: Reader = { trainer, task: null, onEvent: null };
    return reader;
  }

  #startThread(): Promise<Worker> {
    watchPageFiles(this.#origin().aggregator, (event) => this.#hear(event));
    return startThread(this.#options.thread);
  }

  #hear(event: ChoirEvent): void {
    if (event.kind === "sent") this.#sent.push(event.entry);
  }

  async #taskOf(trainer: Trainer): Promise<string> {
    const summary = await this.#describeOn(trainer);
    if (summary === null) throw new ChoirError("bad-task", "the site has no task yet");
    return summary.task;
  }

  #describeOn(trainer: Trainer): Promise<TaskSummary | null> {
    const { task = null, visitor = "visitor", records = true } = this.#options;
    return trainer.call("describe", { origin: this.#origin(), task, keeping: { by: visitor, records } });
  }

  #origin(): Origin {
    const { aggregator = location.origin, modules } = this.#options;
    return { aggregator, modules: moduleTable(modules) };
  }
}

/** The thread that only predicts. */
interface Reader {
  readonly trainer: Trainer;
  task: string | null;
  onEvent: ((event: ChoirEvent) => void) | null;
}
