/**
 * Plain text of a language task: passages between blank lines, and rows of tokens of them. The rows
 * are made by the engine's module, as they are natively.
 */

import { ChoirError } from "./errors.ts";
import type { Example, ParsedExamples } from "./examples.ts";
import type { LanguageTokens } from "./language_tokens.ts";
import { openLanguageTokens } from "./language_tokens.ts";
import type { EngineModule, PackPassages, TaskStatus } from "./modules.ts";
import type { Labelled, PackedTokens, TaskTokenizer } from "./tokens.ts";
import { TextTokenizer } from "./tokens.ts";

/** Reads plain text: every passage is an example, and none has a label. */
export function parsePassages(source: string): ParsedExamples {
  const text = source.startsWith("\uFEFF") ? source.slice(1) : source;
  const passages = text.split(/\r?\n(?:[ \t]*\r?\n)+/).map((passage) => passage.trim());
  const examples = passages.filter((passage) => passage !== "").map((passage) => ({ text: passage, label: "" }));
  return { examples, refused: [], notices: [] };
}

/** The tokenizer of a task, from the bytes of its file. */
export function openTokenizer(module: EngineModule, file: Uint8Array, status: TokenizerStatus): TaskTokenizer {
  if (status.payload !== "language") return new TextTokenizer(file, status.maxLength);
  if (module.packPassages === undefined) {
    throw new ChoirError("bad-task", "this engine's module trains no decoder: choose engine webgpu or cpu");
  }
  return new PassageTokenizer(openLanguageTokens(module, file, status), module.packPassages, status.maxLength);
}

type TokenizerStatus = Pick<TaskStatus, "payload" | "files" | "vocabulary" | "maxLength">;

class PassageTokenizer implements TaskTokenizer {
  readonly #begin: number;

  constructor(
    readonly tokens: LanguageTokens,
    readonly packPassages: PackPassages,
    readonly maxLength: number,
  ) {
    if (tokens.begin === null) {
      throw new ChoirError("bad-model", "the tokenizer has no token that begins a text: choose a base model whose tokenizer has one");
    }
    this.#begin = tokens.begin;
  }

  pack(): PackedTokens {
    throw new ChoirError("bad-task", "a language task has no classifier");
  }

  label(examples: readonly Example[]): Labelled {
    const passages = examples.map(({ text }) => this.tokens.encode(text));
    const ends = [0];
    for (const passage of passages) ends.push((ends[ends.length - 1] as number) + passage.length);
    const packed = this.packPassages(Uint32Array.from(passages.flat()), Uint32Array.from(ends), this.#begin, this.maxLength);
    const [tokens, starts, labels] = [packed.tokens, packed.starts, packed.labels].map((ids) => Uint32Array.from(ids)) as [Uint32Array, Uint32Array, Uint32Array];
    return { tokens, starts, labels, truncated: 0 };
  }

  free(): void {
    this.tokens.free();
  }
}
