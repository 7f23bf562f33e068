/**
 * A decoder's text as tokens and back, whatever tokenizer its task has: all that going on with a text
 * needs to know of it.
 */

import { Tokenizer } from "@huggingface/tokenizers";

import { ChoirError } from "./errors.ts";
import type { EngineModule, Llama2cTokenizer, TaskStatus } from "./modules.ts";

/** Text to tokens and back. */
export interface LanguageTokens {
  /** Stands before a text; `null` where nothing does. */
  readonly begin: number | null;
  /** Follows on a text's last token; `null` where nothing does. */
  readonly end: number | null;
  /** The tokens of a text, without those two. */
  encode(text: string): number[];
  /** The text of tokens. A character of which bytes are missing is U+FFFD. */
  decode(tokens: readonly number[]): string;
  free(): void;
}

/** The tokens of a language task, from the bytes of its tokenizer's file. */
export function openLanguageTokens(
  module: EngineModule,
  file: Uint8Array,
  { files, vocabulary }: Pick<TaskStatus, "files" | "vocabulary">,
): LanguageTokens {
  if (files === "hugging_face") return new JsonTokens(file);
  if (files === "llama2c" && module.Llama2cTokenizer !== undefined) {
    return new Llama2cTokens(new module.Llama2cTokenizer(file, vocabulary));
  }
  throw new ChoirError("bad-task", "this task's tokenizer is of no kind that goes on with a text: choose a task with payload `language`");
}

class Llama2cTokens implements LanguageTokens {
  constructor(readonly tokenizer: Llama2cTokenizer) {}

  get begin(): number {
    return this.tokenizer.begin;
  }

  get end(): number {
    return this.tokenizer.end;
  }

  encode(text: string): number[] {
    return [...this.tokenizer.encode(text, false)];
  }

  decode(tokens: readonly number[]): string {
    return this.tokenizer.decode(Uint32Array.from(tokens));
  }

  free(): void {
    this.tokenizer.free();
  }
}

/** What tokenizers call the token before a text, the likeliest first, and the one after it. */
const BEGINS = ["<|begin_of_text|>", "<s>", "<bos>", "<|endoftext|>"];
const ENDS = ["<|end_of_text|>", "</s>", "<eos>", "<|endoftext|>"];

/** A `tokenizer.json`. */
class JsonTokens implements LanguageTokens {
  readonly #tokenizer: Tokenizer;
  readonly begin: number | null;
  readonly end: number | null;

  constructor(file: Uint8Array) {
    this.#tokenizer = new Tokenizer(JSON.parse(new TextDecoder().decode(file)) as object, {});
    // What the file itself puts before a text goes before what its tokens are called.
    this.begin = this.#tokenizer.encode("").ids[0] ?? this.#firstOf(BEGINS);
    this.end = this.#firstOf(ENDS);
  }

  encode(text: string): number[] {
    return text === "" ? [] : this.#tokenizer.encode(text, { add_special_tokens: false }).ids;
  }

  decode(tokens: readonly number[]): string {
    if (tokens.length === 0) return "";
    return this.#tokenizer.decode([...tokens], { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  }

  /** Nothing of it is outside of JavaScript. */
  free(): void {}

  #firstOf(names: readonly string[]): number | null {
    for (const name of names) {
      const token = this.#tokenizer.token_to_id(name);
      if (token !== undefined) return token;
    }
    return null;
  }
}
