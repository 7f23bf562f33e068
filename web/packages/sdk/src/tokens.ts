/**
 * Text to token ids, packed row after row without padding. `[CLS]` and `[SEP]` stay; what is
 * longer than the model's maximum is cut, and how many were cut is counted.
 */

import { Tokenizer } from "@huggingface/tokenizers";

import { ChoirError } from "./errors.ts";
import type { Example } from "./examples.ts";

/** Token ids of several texts, one after the other. */
export interface PackedTokens {
  readonly tokens: Uint32Array;
  /** Where each text begins, and at the end the number of tokens. */
  readonly starts: Uint32Array;
  /** How many texts were cut. */
  readonly truncated: number;
}

/** Packed texts with the index of each one's label. */
export interface Labelled extends PackedTokens {
  readonly labels: Uint32Array;
}

export class TextTokenizer {
  readonly #tokenizer: Tokenizer;

  /** From the bytes of the model's `tokenizer.json`. */
  constructor(
    json: Uint8Array,
    readonly maxLength: number,
  ) {
    // The package neither pads nor truncates by itself, so the file's settings for that are moot.
    this.#tokenizer = new Tokenizer(JSON.parse(new TextDecoder().decode(json)) as object, {});
  }

  pack(texts: readonly string[]): PackedTokens {
    const starts = new Uint32Array(texts.length + 1);
    const ids: number[] = [];
    let truncated = 0;
    for (const [index, text] of texts.entries()) {
      const row = this.#tokenizer.encode(text).ids;
      if (row.length > this.maxLength) {
        truncated += 1;
        ids.push(...row.slice(0, this.maxLength - 1), row[row.length - 1] as number);
      } else {
        ids.push(...row);
      }
      starts[index + 1] = ids.length;
    }
    return { tokens: Uint32Array.from(ids), starts, truncated };
  }

  /** Packs examples with their labels' indices. */
  label(examples: readonly Example[], labels: readonly string[]): Labelled {
    const indexOf = new Map(labels.map((label, index) => [label, index]));
    const packed = this.pack(examples.map((example) => example.text));
    const indices = examples.map(({ label }) => {
      const index = indexOf.get(label);
      if (index === undefined) throw new ChoirError("bad-input", `the task has no label "${label}"`);
      return index;
    });
    return { ...packed, labels: Uint32Array.from(indices) };
  }
}
