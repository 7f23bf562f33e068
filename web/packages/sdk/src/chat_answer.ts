/**
 * Answers of a chat model: a conversation by its template, as tokens, token by token until the model
 * ends its turn. What the model has read of a conversation stays on the device for the next turn.
 */

import { Tokenizer } from "@huggingface/tokenizers";

import type { ChatTemplate } from "./chat_template.ts";
import { ChoirError } from "./errors.ts";
import type { ChatMessage, SamplingSettings } from "./modules.ts";
import { commonLength } from "./text_window.ts";

/** What a decoder has to do for this: class `LanguageModel` of the modules wgsl and cpu does it. */
export interface ChatModel {
  shape(): { readonly context: number };
  startText(settings: SamplingSettings): void;
  /** Forgets all but the first `count` tokens of the text. */
  rewindText(count: number, settings: SamplingSettings): void;
  /** Reads tokens; yields the one that follows. */
  nextToken(tokens: Uint32Array): Promise<number>;
}

export interface ChatSetup {
  /** With its weights; not used by anybody else while it answers. */
  readonly model: ChatModel;
  readonly template: ChatTemplate;
  /** The text of `tokenizer.json`. */
  readonly tokenizer: string;
  /**
   * The text of `generation_config.json`, or of `config.json` where there is none: its `eos_token_id` ends
   * a turn as well.
   */
  readonly config?: string;
}

export interface AnswerOptions {
  /** Tokens at most; 256 if not given. */
  readonly length?: number;
  /** How each token is chosen; the likeliest, if not given. */
  readonly sampling?: SamplingSettings;
  /** Ends it at once. */
  readonly signal?: AbortSignal;
}

/** An answer as far as it has come. */
export interface ChatAnswer {
  readonly text: string;
  /** What ended it: the model its own turn, or the length or the model's context; `null` until then. */
  readonly end: "turn" | "length" | null;
  /** Tokens that were made for it. */
  readonly tokens: number;
  /** Tokens of the conversation that were still there from the answer before. */
  readonly reused: number;
}

const USUAL_LENGTH = 256;
/** Stands for an answer to find what follows on one. */
const SOME_ANSWER = "answer";

/** A chat model in conversation. Where its adapter has become another, open a new one. */
export class Chat {
  readonly #model: ChatModel;
  readonly #template: ChatTemplate;
  readonly #tokenizer: Tokenizer;
  readonly #config: string | undefined;
  #ends: Promise<ReadonlySet<number>> | null = null;
  /** What the device has read; `null` where that is not known. */
  #read: number[] | null = null;
  /** The newest answer: it ends those before. */
  #newest = 0;
  /** The token under way: the model does one thing at a time. */
  #underWay: Promise<unknown> = Promise.resolve();

  constructor({ model, template, tokenizer, config }: ChatSetup) {
    this.#model = model;
    this.#template = template;
    this.#tokenizer = new Tokenizer(parsed(tokenizer, "tokenizer.json"), {});
    this.#config = config;
  }

  /** The tokens that end the assistant's turn. */
  async endTokens(): Promise<readonly number[]> {
    return [...(await this.#endsOfTurn())];
  }

  /**
   * The assistant's answer to a conversation, each time as far as it has come, the last time with its
   * `end`. It ends early, without a word, where the signal says so, the loop is left or another answer is
   * asked for.
   */
  async *answer(messages: readonly ChatMessage[], options: AnswerOptions = {}): AsyncGenerator<ChatAnswer, void> {
    const number = (this.#newest += 1);
    const isOver = (): boolean => number !== this.#newest || options.signal?.aborted === true;
    const { length = USUAL_LENGTH, sampling = {} } = options;
    const ends = await this.#endsOfTurn();
    const text = await this.#template.render(messages);
    const prompt = this.#tokenizer.encode(text, { add_special_tokens: false }).ids;
    const most = Math.min(length, this.#room(prompt.length));
    await this.#underWay.catch(() => {});
    if (isOver()) return;
    const reused = this.#rewind(prompt, sampling);
    const made: number[] = [];
    for (let pending = prompt.slice(reused); !isOver(); ) {
      const token = await this.#next(pending);
      if (isOver()) return;
      const isEnd = ends.has(token);
      if (!isEnd) made.push(token);
      const end = isEnd ? "turn" : made.length >= most ? "length" : null;
      yield { text: this.#textOf(made, end !== null), end, tokens: made.length, reused };
      if (end !== null) return;
      pending = [token];
    }
  }

  #endsOfTurn(): Promise<ReadonlySet<number>> {
    this.#ends ??= endsOfTurn(this.#template, this.#tokenizer, this.#config);
    const found = this.#ends;
    found.catch(() => this.#ends === found && (this.#ends = null));
    return found;
  }

  /** Tokens that an answer can have behind so many of a conversation. */
  #room(prompt: number): number {
    const { context } = this.#model.shape();
    if (prompt > 0 && prompt < context) return context - prompt;
    const what = `this conversation takes ${prompt} tokens, and the model has room for ${context} with its answer`;
    throw prompt === 0
      ? new ChoirError("bad-input", "there is nothing to answer: give a message")
      : new ChoirError("too-large", `${what}: leave out its first messages`);
  }

  /** Keeps what was read of this conversation already; yields how much. The last token is read again. */
  #rewind(prompt: readonly number[], sampling: SamplingSettings): number {
    if (this.#read === null) {
      this.#model.startText(sampling);
      this.#read = [];
      return 0;
    }
    const kept = Math.min(commonLength(this.#read, prompt), prompt.length - 1);
    this.#model.rewindText(kept, sampling);
    this.#read.length = kept;
    return kept;
  }

  async #next(pending: readonly number[]): Promise<number> {
    const read = this.#read;
    // Until it is read nobody knows what the device holds.
    this.#read = null;
    const coming = this.#model.nextToken(Uint32Array.from(pending));
    this.#underWay = coming;
    const token = await coming;
    this.#read = [...(read ?? []), ...pending];
    return token;
  }

  /** A character of which bytes are missing is left out until there is nothing more to come. */
  #textOf(made: readonly number[], isWhole: boolean): string {
    if (made.length === 0) return "";
    const text = this.#tokenizer.decode([...made], { skip_special_tokens: true, clean_up_tokenization_spaces: false });
    return isWhole ? text : text.replace(/\uFFFD+$/, "");
  }
}

/** By what the model's files call the end, and by what the template puts behind an answer. */
async function endsOfTurn(
  template: ChatTemplate,
  tokenizer: Tokenizer,
  config: string | undefined,
): Promise<ReadonlySet<number>> {
  const ends = new Set<number>(config === undefined ? [] : endIdsOf(parsed(config, "the configuration")));
  const named = template.eosToken === null ? undefined : tokenizer.token_to_id(template.eosToken);
  if (named !== undefined) ends.add(named);
  const behind = await tokenBehindAnswer(template, tokenizer);
  if (behind !== null) ends.add(behind);
  if (ends.size > 0) return ends;
  throw new ChoirError(
    "bad-model",
    "nothing in these files says which token ends the assistant's turn: give generation_config.json with its eos_token_id",
  );
}

/** `eos_token_id`: one or several. */
function endIdsOf(config: object): readonly number[] {
  const ids: unknown = "eos_token_id" in config ? config.eos_token_id : null;
  return (Array.isArray(ids) ? ids : [ids]).filter((id) => typeof id === "number");
}

/** The token that follows on an answer in the template, where it is one that no text is made of. */
async function tokenBehindAnswer(template: ChatTemplate, tokenizer: Tokenizer): Promise<number | null> {
  const turns = [
    { role: "user", content: "question" },
    { role: "assistant", content: SOME_ANSWER },
  ];
  let text: string;
  try {
    text = await template.render(turns, { addGenerationPrompt: false });
  } catch {
    // Then the conversation itself says what is wrong with the template, if anything is.
    return null;
  }
  const at = text.lastIndexOf(SOME_ANSWER);
  if (at === -1) return null;
  const behind = text.slice(at + SOME_ANSWER.length).trimStart();
  const [first] = behind === "" ? [] : tokenizer.encode(behind, { add_special_tokens: false }).ids;
  return first !== undefined && tokenizer.get_added_tokens_decoder().has(first) ? first : null;
}

function parsed(text: string, file: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // The same as JSON of another kind.
  }
  throw new ChoirError("bad-model", `${file} is not JSON of an object: give the text of the model's own file`);
}
