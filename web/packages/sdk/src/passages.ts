/**
 * Plain text of a language task: passages between blank lines, and rows of tokens of them. The rows
 * are made by the engine's module, as they are natively.
 */

import { ChoirError } from "./errors.ts";
import type { Example, ParsedExamples } from "./examples.ts";
import type { EngineModule, Llama2cTokenizer, TaskStatus } from "./modules.ts";
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
export function openTokenizer(
  module: EngineModule,
  file: Uint8Array,
  { payload, files, vocabulary, maxLength }: Pick<TaskStatus, "payload" | "files" | "vocabulary" | "maxLength">,
): TaskTokenizer {
  if (payload !== "language") return new TextTokenizer(file, maxLength);
  if (files !== "llama2c" || module.Llama2cTokenizer === undefined) {
    throw new ChoirError("bad-task", "pages read the tokenizer of a decoder only where it is llama2.c's");
  }
  return new PassageTokenizer(new module.Llama2cTokenizer(file, vocabulary), maxLength);
}

class PassageTokenizer implements TaskTokenizer {
  readonly #tokenizer: Llama2cTokenizer;

  constructor(
    tokenizer: Llama2cTokenizer,
    readonly maxLength: number,
  ) {
    this.#tokenizer = tokenizer;
  }

  pack(): PackedTokens {
    throw new ChoirError("bad-task", "a language task has no classifier");
  }

  label(examples: readonly Example[]): Labelled {
    const texts = examples.map(({ text }) => text);
    const { tokens, starts, labels } = this.#tokenizer.rows(texts, this.maxLength);
    return { tokens: Uint32Array.from(tokens), starts: Uint32Array.from(starts), labels: Uint32Array.from(labels), truncated: 0 };
  }

  free(): void {
    this.#tokenizer.free();
  }
}
