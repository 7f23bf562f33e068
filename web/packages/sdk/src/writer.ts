/**
 * Goes on with a visitor's text in the training thread, token by token: by the base model alone, by
 * the newest global adapter, or by one that this tab has trained. What was read of a text stays on the
 * device as long as the next text begins as it does. Nothing of it is sent.
 */

import type { AdapterChoice, Continued, StartTextArgs, WriterReport } from "./calls.ts";
import { asChoirError, ChoirError } from "./errors.ts";
import type { EngineWish } from "./events.ts";
import type { LanguageTokens } from "./language_tokens.ts";
import { openLanguageTokens } from "./language_tokens.ts";
import { asFloats, Model, progressOf } from "./model.ts";
import type { LanguageEngineTrainer, SamplingSettings, TaskStatus } from "./modules.ts";
import type { PredictorContext } from "./predictor.ts";
import type { CutText } from "./suggestion_end.ts";
import { cutSuggestion } from "./suggestion_end.ts";
import { commonLength, textWindow, tokenWindow } from "./text_window.ts";

/** A call answers after this long, so that text appears as it comes and typing ends it at once. */
const ANSWER_MS = 12;
/** Tokens of the text that are decoded before those that follow: spaces and bytes depend on them. */
const DECODED_BEFORE = 4;

/** The model that is loaded. */
interface Loaded {
  readonly task: string;
  readonly model: Model;
  readonly trainer: LanguageEngineTrainer;
  readonly tokens: LanguageTokens;
  version: number;
  global: { readonly digest: string; readonly values: Float32Array };
  /** Of the adapter that is on. */
  on: AdapterChoice | null;
  /** What the device has read of a text by that adapter; `null` where it has none. */
  read: number[] | null;
}

/** A text under way. */
interface Text {
  readonly args: StartTextArgs;
  readonly reused: number;
  /** Read next. */
  pending: number[];
  /** The last tokens of the visitor's own text. */
  readonly before: readonly number[];
  readonly made: number[];
  /** The text ended in spaces that were not read: a word's own space comes with the word. */
  readonly withoutSpace: boolean;
  firstMs: number;
  nextMs: number;
  ended: boolean;
}

export class Writer {
  readonly #context: PredictorContext;
  #loaded: Loaded | null = null;
  #own: Float32Array | null = null;
  #text: Text | null = null;
  /** The CPU, once a device was lost. */
  #engine: EngineWish | null = null;

  constructor(context: PredictorContext) {
    this.#context = context;
  }

  /** Loads the task's model, unless it is loaded, and the newest global adapter. */
  async open(task: string, engine: EngineWish): Promise<WriterReport> {
    const status = await this.#context.status(task);
    if (status.payload !== "language") {
      throw new ChoirError("bad-task", `the task "${status.name}" has no decoder: only a language task goes on with a text`);
    }
    if (this.#loaded?.task !== task) {
      this.close();
      this.#loaded = await this.#load(task, status, this.#engine ?? engine);
    }
    await this.#takeGlobal(this.#loaded, status);
    const { model, trainer, version } = this.#loaded;
    return { engine: model.report, version, room: trainer.room() };
  }

  /** Takes over an adapter that this tab has trained. */
  giveOwn(values: Float32Array | null): null {
    this.#own = values;
    if (this.#loaded?.on === "own") this.#loaded.on = null;
    return null;
  }

  /** Begins to go on with a text; the first token comes with the first [`Writer.goOn`]. */
  start(args: StartTextArgs): null {
    const loaded = this.#at();
    this.#wear(loaded, args.adapter);
    this.#text = this.#begun(loaded, args, true);
    return null;
  }

  /** Goes on for a moment, or until the suggestion is finished. */
  async goOn(): Promise<Continued> {
    const loaded = this.#at();
    const text = this.#text;
    if (text === null) throw new ChoirError("internal", "start a text first");
    try {
      return await this.#tokensOf(loaded, text);
    } catch (thrown) {
      // What the device has read is not known any more.
      loaded.read = null;
      this.#text = null;
      if (asChoirError(thrown).code === "device-lost") {
        this.#engine = "cpu";
        this.close();
      }
      throw thrown;
    }
  }

  close(): void {
    this.#loaded?.tokens.free();
    this.#loaded?.model.close();
    this.#loaded = null;
    this.#text = null;
  }

  async #load(task: string, status: TaskStatus, engine: EngineWish): Promise<Loaded> {
    const { modules, objects, emit } = this.#context;
    const model = await Model.open(modules, objects, status, engine, null, null, emit, "writing");
    try {
      const trainer = model.trainer as LanguageEngineTrainer;
      const tokens = openLanguageTokens(model.module, model.tokenizerFile, status);
      return { task, model, trainer, tokens, version: 0, global: { digest: "", values: new Float32Array() }, on: null, read: null };
    } catch (thrown) {
      model.close();
      throw thrown;
    }
  }

  async #takeGlobal(loaded: Loaded, status: TaskStatus): Promise<void> {
    loaded.version = status.version;
    if (loaded.global.digest === status.adapter) return;
    const { objects, emit } = this.#context;
    const values = asFloats(await objects.read(status.adapter, progressOf("adapter", emit)));
    if (values.length !== status.adapterLength) {
      throw new ChoirError("bad-model", `the adapter has ${values.length} values instead of ${status.adapterLength}`);
    }
    loaded.global = { digest: status.adapter, values };
    if (loaded.on === "global") loaded.on = null;
  }

  /** Puts an adapter on; what was read by another is of no use then. */
  #wear(loaded: Loaded, choice: AdapterChoice): void {
    if (loaded.on === choice) return;
    if (choice === "own" && this.#own === null) {
      throw new ChoirError("bad-input", "this tab has trained no adapter of its own yet: take part in a round first, or choose `global`");
    }
    loaded.on = null;
    loaded.read = null;
    if (choice === "base") loaded.trainer.removeAdapter();
    else loaded.trainer.setAdapter(choice === "own" ? (this.#own as Float32Array) : loaded.global.values);
    loaded.on = choice;
  }

  #begun(loaded: Loaded, args: StartTextArgs, mayLeaveSpace: boolean): Text {
    const { trainer, tokens } = loaded;
    const room = trainer.room();
    const own = textWindow(args.text, room);
    const bare = own.replace(/[ \t]+$/, "");
    const withoutSpace = mayLeaveSpace && bare.length < own.length && bare !== "";
    const all = tokens.encode(withoutSpace ? bare : own);
    const prompt = tokenWindow(tokens.begin, all, Math.max(1, room - args.most));
    if (prompt.length === 0) throw new ChoirError("bad-input", "there is no text to go on with: give some");
    const reused = rewind(loaded, prompt, args.sampling);
    const before = prompt.slice(-DECODED_BEFORE);
    return { args, reused, pending: prompt.slice(reused), before, made: [], withoutSpace, firstMs: 0, nextMs: 0, ended: false };
  }

  async #tokensOf(loaded: Loaded, text: Text): Promise<Continued> {
    const until = performance.now() + ANSWER_MS;
    for (;;) {
      await oneToken(loaded, text);
      const written = writtenBy(loaded.tokens, text);
      // After "the " a model that goes on with "re" would have made "there": then the space is read too.
      if (text.withoutSpace && /^\S/.test(written)) {
        text = this.#text = this.#begun(loaded, text.args, false);
        continue;
      }
      const cut = cutOf(text, text.withoutSpace ? written.replace(/^[ \t]+/, "") : written);
      if (!cut.finished && performance.now() < until) continue;
      const { made, firstMs, nextMs, reused } = text;
      return { ...cut, tokens: made.length, firstMs, nextMs, reused, version: loaded.version };
    }
  }

  #at(): Loaded {
    if (this.#loaded === null) throw new ChoirError("internal", "open the writer first");
    return this.#loaded;
  }
}

/** Keeps what the device has read of this text already; yields how much that is. The last token is read again. */
function rewind(loaded: Loaded, prompt: readonly number[], sampling: SamplingSettings): number {
  const { trainer } = loaded;
  if (loaded.read === null) {
    trainer.startText({ ...sampling, capacity: trainer.room() });
    loaded.read = [];
    return 0;
  }
  const kept = Math.min(commonLength(loaded.read, prompt), prompt.length - 1);
  trainer.rewindText(kept, sampling);
  loaded.read.length = kept;
  return kept;
}

async function oneToken({ trainer, tokens, read }: Loaded, text: Text): Promise<void> {
  if (read === null || read.length + text.pending.length > trainer.room()) {
    text.ended = true;
    return;
  }
  const began = performance.now();
  const token = await trainer.nextToken(Uint32Array.from(text.pending));
  const took = performance.now() - began;
  read.push(...text.pending);
  text.pending = [token];
  if (text.made.length === 0) text.firstMs = took;
  else text.nextMs += took;
  if (token === tokens.end || token === tokens.begin) text.ended = true;
  else text.made.push(token);
}

function cutOf({ args, made, ended }: Text, written: string): CutText {
  return cutSuggestion(written, args.end, ended || made.length >= args.most, ended);
}

/** What the tokens add to the text; a character that is not complete is left out. */
function writtenBy(tokens: LanguageTokens, { before, made }: Text): string {
  const known = tokens.decode(before);
  const whole = tokens.decode([...before, ...made]).replace(/\uFFFD+$/, "");
  return whole.startsWith(known) ? whole.slice(known.length) : tokens.decode(made).replace(/\uFFFD+$/, "");
}
