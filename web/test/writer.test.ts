/** Going on with texts: what is read again and what is not, by which adapter, and as which text. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterChoice } from "../packages/sdk/src/calls.ts";
import type { SamplingSettings, TaskStatus } from "../packages/sdk/src/modules.ts";
import type { PredictorContext } from "../packages/sdk/src/predictor.ts";
import { Writer } from "../packages/sdk/src/writer.ts";

const BEGIN = 1;
const END = 2;
const ROOM = 64;
const toTokens = (text: string): number[] => [...text].map((character) => character.charCodeAt(0));

/** A token for each character. */
class Characters {
  readonly begin = BEGIN;
  readonly end = END;
  encode = (text: string) => Uint32Array.from(toTokens(text));
  decode = (tokens: Uint32Array) => String.fromCharCode(...[...tokens].filter((token) => token > END));
  rows = () => ({ tokens: [], starts: [0], labels: [] });
  free(): void {}
}

/** A decoder that knows one text for each adapter, and notes what it reads. */
class Parrot {
  readonly log: string[] = [];
  #adapter = "none";
  #read: number[] = [];
  #line = "";

  constructor(readonly lines: Record<string, string>) {}

  info = () => ({ device: "cpu", adapter: "test" });
  plan = () => null;
  prepare = () => ({ kernels: 0, ready: 0, done: Promise.resolve(), free: () => undefined });
  addWeights(): void {}
  finishWeights(): void {}
  free(): void {}
  room = () => ROOM;
  setAdapter = (flat: Float32Array) => void (this.#adapter = `adapter ${flat[0]}`);
  removeAdapter = () => void (this.#adapter = "base");

  startText({ capacity }: SamplingSettings & { capacity: number }): void {
    this.log.push(`start ${capacity}`);
    this.#read = [];
  }

  rewindText(count: number): void {
    this.log.push(`keep ${count}`);
    this.#read.length = count;
  }

  async nextToken(tokens: Uint32Array): Promise<number> {
    if (tokens.length > 1 || this.#line === "") this.log.push(`read ${tokens.length}`);
    this.#read.push(...tokens);
    assert.equal(this.#read[0], BEGIN);
    const line = this.lines[this.#adapter] ?? "";
    const text = String.fromCharCode(...this.#read.slice(1));
    this.#line = text;
    return line.startsWith(text) && text.length < line.length ? line.charCodeAt(text.length) : END;
  }
}

function writerOf(lines: Record<string, string>): { writer: Writer; parrot: Parrot; asked: string[] } {
  const parrot = new Parrot(lines);
  const asked: string[] = [];
  const status = { name: "t", payload: "language", files: "llama2c", adapter: "first", adapterLength: 1, version: 3 };
  const trainer = { open: async () => parrot };
  const context = {
    modules: { engine: async () => ({ Trainer: trainer, LanguageTrainer: trainer, Llama2cTokenizer: Characters, packPassages: () => ({}) }) },
    objects: {
      read: async (digest: string) => (digest === "first" ? new Uint8Array(Float32Array.of(7).buffer) : new Uint8Array()),
      stream: async () => 0,
    },
    status: async (task: string) => {
      asked.push(task);
      return { ...status, tokenizer: "tokenizer", weights: "weights", frozenHead: null } as unknown as TaskStatus;
    },
    emit: () => undefined,
  } as unknown as PredictorContext;
  return { writer: new Writer(context), parrot, asked };
}

async function goOn(writer: Writer, text: string, adapter: AdapterChoice = "global") {
  writer.start({ text, adapter, sampling: {}, most: 32, end: "sentence" });
  for (;;) {
    const found = await writer.goOn();
    if (found.finished) return found;
  }
}

const LINE = "Once upon a time there was a girl. She";

test("a text goes on to the end of its sentence, by each adapter as it would, and the aggregator is asked once", async () => {
  const { writer, asked } = writerOf({ "adapter 7": LINE, "adapter 9": "Once I was mine.", base: "Once it was base." });
  assert.deepEqual(await writer.open("task", "cpu").then(({ version, room }) => [version, room]), [3, ROOM]);
  const { text, tokens, version } = await goOn(writer, "Once");
  assert.deepEqual([text, tokens, version], [" upon a time there was a girl.", 31, 3]);
  assert.equal((await goOn(writer, "Once", "base")).text, " it was base.");
  assert.throws(() => writer.start({ text: "Once", adapter: "own", sampling: {}, most: 8, end: "line" }), /take part in a round first/);
  writer.giveOwn(Float32Array.of(9));
  assert.equal((await goOn(writer, "Once", "own")).text, " I was mine.");
  assert.deepEqual(asked, ["task"]);
});

test("what was read of a text is not read again as long as the next one begins as it does", async () => {
  const { writer, parrot } = writerOf({ "adapter 7": LINE, base: LINE });
  await writer.open("task", "cpu");
  await goOn(writer, "Once upon");
  assert.deepEqual(parrot.log.splice(0), [`start ${ROOM}`, "read 10"]);
  // The suggestion was taken: all but its last token is there.
  const { reused, text } = await goOn(writer, "Once upon a time there");
  assert.deepEqual([reused, text], [22, " was a girl."]);
  assert.deepEqual(parrot.log.splice(0), ["keep 22"]);
  await goOn(writer, "Once a");
  assert.deepEqual(parrot.log.splice(0), ["keep 6"]);
  // Another adapter has read nothing.
  assert.equal((await goOn(writer, "Once upon", "base")).reused, 0);
});

test("a space at the end of a text is not read with it where the next word brings its own", async () => {
  const { writer } = writerOf({ "adapter 7": LINE, base: "Onces. 'Once  twice." });
  await writer.open("task", "cpu");
  assert.equal((await goOn(writer, "Once ")).text, "upon a time there was a girl.");
  // A model that would make another word of it reads the space.
  const { text } = await goOn(writer, "Once ", "base");
  assert.equal(text, "");
});

test("a task without a decoder is refused by its name", async () => {
  const { writer } = writerOf({});
  const context = { status: async () => ({ payload: "adapter", name: "intents" }) } as unknown as PredictorContext;
  await assert.rejects(new Writer(context).open("task", "cpu"), /"intents" has no decoder/);
  assert.throws(() => writer.start({ text: "a", adapter: "base", sampling: {}, most: 1, end: "line" }), /open the writer first/);
});
