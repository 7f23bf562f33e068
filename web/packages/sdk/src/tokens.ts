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

/** Packed texts with the index of each one's label; rows of a language task with that of each token. */
export interface Labelled extends PackedTokens {
  readonly labels: Uint32Array;
}

/** Texts, or rows of tokens. */
export function countOf({ starts }: Labelled): number {
  return starts.length - 1;
}

/** What a task's texts become tokens by. */
export interface TaskTokenizer {
  /** Packs texts to be classified. */
  pack(texts: readonly string[]): PackedTokens;
  /** Packs examples to be trained or measured on. */
  label(examples: readonly Example[], labels: readonly string[]): Labelled;
  free(): void;
}

export class TextTokenizer implements TaskTokenizer {
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
      const row = this.#tokenizer.encode(asTheCrateReads(text)).ids;
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

  /** Nothing of it is outside of JavaScript. */
  free(): void {}
}

/** Chinese characters beyond the first plane, as the crate `tokenizers` knows them. */
const FAR_CHINESE = /[\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;

/**
 * Changes the two things that the package would read otherwise than the crate `tokenizers`, by which
 * the model's own ids were made: the crate makes a word of each Chinese character of any plane,
 * where the package looks at UTF-16 units and so at the first plane only; and the crate lowers every
 * sigma to σ, where JavaScript writes ς at the end of a word. What is left are a few hundred marks,
 * signs and controls of rare scripts that Unicode named after the crate's tables were made.
 */
function asTheCrateReads(text: string): string {
  return text.replace(FAR_CHINESE, " $& ").replaceAll("Σ", "σ");
}
