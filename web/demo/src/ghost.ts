/**
 * What the model suggests behind the caret, and when: after a short pause in typing, gone at the next
 * key. No page is needed for it; `editor.ts` shows it.
 */

import type { Suggestion } from "@choir/sdk";
import { asChoirError } from "@choir/sdk";

/** Typing has paused after this long. */
export const PAUSE_MS = 250;

/** How a text goes on, as far as it has come, until the signal ends it. */
export type Source = (text: string, signal: AbortSignal) => AsyncIterable<Suggestion>;

/** A space before a word, the word, and nothing behind it. */
const FIRST_WORD = /^\s*\S+/;

export class Ghost {
  readonly #source: Source;
  readonly #changed: () => void;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #abort: AbortController | null = null;
  #suggestion: Suggestion | null = null;
  /** Characters of the suggestion that the visitor has taken already. */
  #taken = 0;
  #problem: string | null = null;

  constructor(source: Source, changed: () => void) {
    this.#source = source;
    this.#changed = changed;
  }

  /** What is shown behind the caret; empty where nothing is. */
  get text(): string {
    return this.#suggestion?.text.slice(this.#taken) ?? "";
  }

  /** The suggestion as it was made; `null` where nothing is shown. */
  get suggestion(): Suggestion | null {
    return this.#suggestion;
  }

  /** Whether one is being made. */
  get isBusy(): boolean {
    return this.#abort !== null;
  }

  get problem(): string | null {
    return this.#problem;
  }

  /** The visitor typed: what was suggested goes at once, and after a pause comes another. */
  typed(text: string): void {
    this.#drop();
    if (text.trim() !== "") this.#timer = setTimeout(() => void this.#suggest(text), PAUSE_MS);
    this.#changed();
  }

  /** Suggests without a pause. */
  ask(text: string): void {
    this.#drop();
    void this.#suggest(text);
  }

  /** Ends what is on its way and shows nothing. */
  dismiss(): void {
    this.#drop();
    this.#changed();
  }

  /** Hands the suggestion over; nothing is shown any more. */
  takeAll(): string {
    const { text } = this;
    this.dismiss();
    return text;
  }

  /** Hands over the next word; the rest stays. */
  takeWord(): string {
    const word = FIRST_WORD.exec(this.text)?.[0] ?? this.text;
    this.#taken += word.length;
    this.#changed();
    return word;
  }

  async #suggest(text: string): Promise<void> {
    const abort = new AbortController();
    this.#timer = null;
    this.#abort = abort;
    this.#changed();
    try {
      for await (const suggestion of this.#source(text, abort.signal)) {
        if (abort.signal.aborted) return;
        this.#suggestion = suggestion;
        this.#changed();
      }
    } catch (thrown) {
      const { code, message } = asChoirError(thrown);
      if (!abort.signal.aborted && code !== "closed") this.#problem = message;
    }
    if (abort.signal.aborted) return;
    this.#abort = null;
    this.#changed();
  }

  #drop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#timer = this.#abort = this.#suggestion = this.#problem = null;
    this.#taken = 0;
  }
}
