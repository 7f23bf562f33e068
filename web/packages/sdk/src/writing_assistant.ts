/**
 * Suggests how a visitor's text goes on, by a language task's decoder in a thread of its own. The model
 * is loaded once; after that nothing is asked of the aggregator, and nothing of the text is sent.
 *
 * ```ts
 * const assistant = choir.writingAssistant();
 * for await (const { text, finished } of assistant.suggest("Once upon a time", { signal })) show(text);
 * ```
 */

import type { AdapterChoice, Continued, WriterReport } from "./calls.ts";
import { asChoirError } from "./errors.ts";
import type { EngineWish } from "./events.ts";
import type { SamplingSettings } from "./modules.ts";
import type { SuggestionEnd } from "./suggestion_end.ts";
import type { Trainer } from "./trainer.ts";

export interface SuggestOptions {
  /** By what: the newest global adapter, if not given. */
  readonly adapter?: AdapterChoice;
  /** Tokens at most; 32 if not given. */
  readonly length?: number;
  /** What ends it before that; the end of a sentence or line, if not given. */
  readonly end?: SuggestionEnd;
  /** How each token is chosen; the likeliest, if not given. */
  readonly sampling?: SamplingSettings;
  /** Ends it at once. */
  readonly signal?: AbortSignal;
}

/** A suggestion as far as it has come. */
export interface Suggestion {
  /** To be put behind the text as it is. */
  readonly text: string;
  readonly finished: boolean;
  readonly adapter: AdapterChoice;
  /** Of the global adapter that was loaded. */
  readonly version: number;
  /** Tokens that were made for it. */
  readonly tokens: number;
  /** Until the first of them, the reading of the text included. */
  readonly firstMs: number;
  /** Of those behind the first; `null` where there is none. */
  readonly tokensPerSecond: number | null;
  /** Tokens of the text that were still there from the suggestion before. */
  readonly reused: number;
}

/** What an assistant stands on. */
export interface AssistantSetup {
  readonly trainer: Trainer;
  readonly engine: EngineWish;
  /** The task to write by; rejects where the site has none. */
  readonly task: () => Promise<string>;
}

const USUAL_LENGTH = 32;

export class WritingAssistant {
  readonly #setup: AssistantSetup;
  #loading: Promise<WriterReport> | null = null;
  /** The number of the newest suggestion: a newer one ends those before. */
  #newest = 0;

  constructor(setup: AssistantSetup) {
    this.#setup = setup;
  }

  /** Loads the model, once; the first suggestion does so by itself. */
  load(): Promise<WriterReport> {
    this.#loading ??= this.#open();
    const loading = this.#loading;
    // What failed is tried again when it is next asked for.
    loading.catch(() => this.#loading === loading && (this.#loading = null));
    return loading;
  }

  /** Takes over the newest global adapter; the only thing here that asks the aggregator once more. */
  refresh(): Promise<WriterReport> {
    this.#loading = null;
    return this.load();
  }

  /** Lends the adapter that this tab has trained (`session.trainedAdapter()`), for the choice `own`. */
  async giveOwn(values: Float32Array | null): Promise<void> {
    await this.#setup.trainer.call("giveOwn", { values });
  }

  /**
   * How a text goes on, each time as far as it has come, until it is finished. It ends early, without a
   * word, where the signal says so, the loop is left or another suggestion is asked for.
   */
  async *suggest(text: string, options: SuggestOptions = {}): AsyncGenerator<Suggestion, void> {
    try {
      yield* this.#suggest(text, options);
    } catch (thrown) {
      // The next suggestion loads the model anew, for the CPU.
      if (asChoirError(thrown).code === "device-lost") this.#loading = null;
      throw thrown;
    }
  }

  /** Ends its thread; what it had loaded is gone. */
  close(): void {
    this.#newest += 1;
    this.#setup.trainer.close();
  }

  async *#suggest(text: string, options: SuggestOptions): AsyncGenerator<Suggestion, void> {
    const number = (this.#newest += 1);
    const isOver = (): boolean => number !== this.#newest || options.signal?.aborted === true;
    const { adapter = "global", length = USUAL_LENGTH, end = "sentence", sampling = {} } = options;
    const { trainer } = this.#setup;
    await this.load();
    if (isOver()) return;
    await trainer.call("startText", { text, adapter, sampling, most: length, end });
    while (!isOver()) {
      const found = await trainer.call("continueText", {});
      if (isOver()) return;
      yield { adapter, ...measured(found) };
      if (found.finished) return;
    }
  }

  async #open(): Promise<WriterReport> {
    const { trainer, engine, task } = this.#setup;
    return trainer.call("openWriter", { task: await task(), engine });
  }
}

function measured({ nextMs, ...found }: Continued): Omit<Suggestion, "adapter"> {
  const following = found.tokens - 1;
  return { ...found, tokensPerSecond: following > 0 && nextMs > 0 ? (following * 1_000) / nextMs : null };
}
