/** Answers of a chat model: where they end, what is read again, and what is refused. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Chat } from "../packages/sdk/src/chat_answer.ts";
import type { ChatReply, ChatRequest } from "../packages/sdk/src/chat_calls.ts";
import { ChatTemplate } from "../packages/sdk/src/chat_template.ts";
import type { ChatFiles, ChatMessage } from "../packages/sdk/src/modules.ts";

/** A token each; the first are special. */
const PIECES = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "\n", ..."abcdefghijklmnopqrstuvwxyz"];
const TOKENIZER = JSON.stringify({
  version: "1.0",
  added_tokens: PIECES.slice(0, 4).map((content, id) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true })),
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: { type: "Fuse" },
  model: { type: "BPE", vocab: Object.fromEntries(PIECES.map((piece, id) => [piece, id])), merges: [] },
});
const id = (piece: string): number => PIECES.indexOf(piece);
const END = id("<|im_end|>");

type Render = (messages: readonly ChatMessage[], addGenerationPrompt: boolean) => string;

/** ChatML, as the thread would render it. */
const chatMl: Render = (messages, addGenerationPrompt) => {
  const turns = messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`);
  return turns.join("") + (addGenerationPrompt ? "<|im_start|>assistant\n" : "");
};

function templateOf(render: Render = chatMl, files: ChatFiles = { template: "", bosToken: "<s>", eosToken: "</s>" }): ChatTemplate {
  const call = async (request: ChatRequest): Promise<ChatReply> => {
    assert.ok(request.kind === "render");
    return { kind: "text", text: render(request.messages, request.addGenerationPrompt) };
  };
  return new ChatTemplate({ call, close: () => {} }, files);
}

/** Says what it is told to, and notes what it reads. */
class Model {
  text: number[] = [];
  starts = 0;

  constructor(
    readonly script: number[],
    readonly context = 100,
  ) {}

  shape = () => ({ context: this.context });
  startText = (): void => {
    this.starts += 1;
    this.text = [];
  };
  rewindText = (count: number): void => {
    this.text.length = count;
  };
  nextToken = async (tokens: Uint32Array): Promise<number> => {
    this.text.push(...tokens);
    const next = this.script.shift();
    if (next === undefined) throw new Error("the device is gone");
    return next;
  };
}

function open(model: Model, template = templateOf(), config?: string): Chat {
  return new Chat({ model, template, tokenizer: TOKENIZER, ...(config === undefined ? {} : { config }) });
}

const ask = (content: string): ChatMessage => ({ role: "user", content });
const spelled = (text: string): number[] => [...text].map(id);

async function all(chat: Chat, messages: ChatMessage[], options = {}) {
  const found = [];
  for await (const answer of chat.answer(messages, options)) found.push(answer);
  return found;
}

test("an answer comes token by token and ends with the model's turn", async () => {
  const chat = open(new Model([...spelled("yes"), END]));
  const answers = await all(chat, [ask("well")]);
  assert.deepEqual(answers.map(({ text, end }) => [text, end]), [["y", null], ["ye", null], ["yes", null], ["yes", "turn"]]);
  assert.equal(answers.at(-1)?.tokens, 3);
});

test("a turn ends with the tokens that the files name and with the one that the template puts behind an answer", async () => {
  assert.deepEqual(new Set(await open(new Model([])).endTokens()), new Set([id("</s>"), END]));
  const named = open(new Model([]), templateOf(), JSON.stringify({ eos_token_id: [0, 7] }));
  assert.deepEqual(new Set(await named.endTokens()), new Set([0, 7, id("</s>"), END]));
  const plain = templateOf((messages) => messages.map(({ content }) => content).join("\n"), { template: "", bosToken: null, eosToken: null });
  await assert.rejects(open(new Model([]), plain).endTokens(), { code: "bad-model", message: /generation_config.json/ });
  assert.deepEqual(await open(new Model([]), plain, '{"eos_token_id": 1}').endTokens(), [1]);
  await assert.rejects(open(new Model([]), plain, "[1").endTokens(), { code: "bad-model", message: /not JSON/ });
});

test("of a conversation that goes on only what is new is read", async () => {
  const model = new Model([...spelled("yes"), END, ...spelled("no"), END]);
  const chat = open(model);
  await all(chat, [ask("one")]);
  const longer = [ask("one"), { role: "assistant", content: "yes" }, ask("two")];
  const answers = await all(chat, longer);
  assert.equal(answers.at(-1)?.text, "no");
  assert.equal(model.starts, 1);
  const before = ["<|im_start|>", ..."user\none", "<|im_end|>", "\n", "<|im_start|>", ..."assistant\nyes"];
  assert.equal(answers[0]?.reused, before.length);
  const after = ["<|im_end|>", "\n", "<|im_start|>", ..."user\ntwo", "<|im_end|>", "\n", "<|im_start|>", ..."assistant\nno"];
  assert.deepEqual(model.text, [...before, ...after].map(id));
});

test("length and the model's context end an answer; a conversation that leaves no room is refused", async () => {
  const script = () => spelled("abcdefghijklmnopqrstuvwxyz");
  assert.equal((await all(open(new Model(script())), [ask("x")], { length: 5 })).at(-1)?.text, "abcde");
  const question = ["<|im_start|>", ..."user\nx", "<|im_end|>", "\n", "<|im_start|>", ..."assistant\n"].length;
  const last = (await all(open(new Model(script(), question + 7)), [ask("x")])).at(-1);
  assert.deepEqual([last?.end, last?.tokens], ["length", 7]);
  await assert.rejects(all(open(new Model(script(), question)), [ask("x")]), { code: "too-large", message: /20 tokens.*leave out/ });
});

test("a signal, a newer answer and a device that fails end it, and the next one starts anew", async () => {
  const model = new Model(spelled("abcdef"));
  const chat = open(model);
  const control = new AbortController();
  const found: string[] = [];
  for await (const { text } of chat.answer([ask("x")], { signal: control.signal })) {
    found.push(text);
    if (text.length === 2) control.abort();
  }
  assert.deepEqual(found, ["a", "ab"]);
  const older = chat.answer([ask("x")]);
  await older.next();
  const newer = chat.answer([ask("y")], { length: 1 });
  assert.equal((await newer.next()).value?.text, "d");
  assert.equal((await older.next()).done, true);
  await assert.rejects(all(chat, [ask("z")]), /the device is gone/);
  model.script.push(END);
  await all(chat, [ask("z")]);
  assert.equal(model.starts, 2);
});
