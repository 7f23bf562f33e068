// A chat model in real Chromium: a small decoder, a tokenizer and a chat template as files, and the packed
// SDK's entry for conversations. It is taught an answer, gives it word for word, and stops at the token
// that ends its turn. CHOIR_OUT names target/choir; the files are those of wasm-client/tests/miniatures.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launchBrowser } from "../lib/browser.mjs";
import { serveFolders } from "../lib/serve.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.env.CHOIR_OUT ?? join(here, "../../target/choir");
const miniatures = process.env.CHOIR_MINIATURES;
const built = existsSync(join(out, "sdk/chat.js"));
const skip = !miniatures ? "no models: CHOIR_MINIATURES is not set" : built ? false : "the SDK is not built";
const NOT_SCORED = 0xffffffff;

const QUESTION = { role: "user", content: "Hi?" };
const ANSWER = "Good day!";
const PROMPT = "<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n";
const END = "<|im_end|>";

let server;
let browser;
before(async () => {
  if (skip) return;
  server = await serveFolders({ sdk: join(out, "sdk"), miniatures, bench: join(here, "../bench") });
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  server?.close();
});

for (const module of ["wgsl", "cpu"]) {
  test(`a small decoder on engine ${module} answers and stops at the end of its turn`, { skip }, async (t) => {
    const page = await open(t);
    const plan = {
      sdk: "/sdk",
      module,
      folder: "/miniatures/llama",
      chat: "/miniatures/chat",
      weights: ["model.safetensors"],
      lesson: lesson(),
      learningRate: 0.02,
      steps: 400,
      enough: 0.01,
      length: 30,
      conversations: [[QUESTION], [QUESTION, { role: "assistant", content: ANSWER }, { role: "user", content: "a" }], [QUESTION]],
      noTurns: [QUESTION, QUESTION],
      tooLong: [{ role: "user", content: "a".repeat(64) }],
    };
    const found = await page.evaluate(async (plan) => (await import("/bench/chat.js")).converse(plan), plan);
    t.diagnostic(`loss ${found.losses[0].toFixed(2)} to ${found.losses.at(-1).toFixed(4)} in ${found.losses.length} steps`);
    assert.equal(found.loadedBefore, 0, "the module is loaded by the first template");
    assert.equal(found.rendered, PROMPT);
    assert.deepEqual([...found.ends].sort(), [idOf("</s>"), idOf(END)].sort());
    const [first, longer, again] = found.answers;
    assert.deepEqual(first.at(-1), { text: ANSWER, end: "turn", tokens: ANSWER.length, reused: 0 });
    assert.deepEqual(first.slice(0, -1).map(({ text }) => text), [...ANSWER].map((_, at) => ANSWER.slice(0, at + 1)));
    assert.equal(longer[0].reused, tokensOf(PROMPT).length + ANSWER.length, "what was read of the conversation stays");
    assert.deepEqual([again.at(-1).text, again.at(-1).end], [ANSWER, "turn"], "a conversation that was gone back in");
    const { noTurns, tooLong } = found;
    assert.deepEqual([noTurns.code, noTurns.line], ["refused", 3]);
    assert.match(noTurns.message, /message 2 is by the user\./);
    assert.equal(tooLong.code, "too-large");
    assert.match(tooLong.message, /and the model has room for 64/);
  });
}

test("hostile templates are given up, and the tab goes on", { skip }, async (t) => {
  const page = await open(t);
  const templates = [
    "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    "{% set n = namespace(x='x') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    `{{ ${"(".repeat(50_000)}1${")".repeat(50_000)} }}`,
    `{% if 0 %}${"{% elif 0 %}".repeat(15_000)}{% endif %}`,
    "{% set n = namespace(x=[]) %}{% for a in range(90000) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[1]) %}{% for a in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[1], y=[1]) %}{% for a in range(60) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
  ];
  const found = await page.evaluate(async (plan) => (await import("/bench/chat.js")).giveUp(plan), { sdk: "/sdk", templates });
  for (const [index, { code, value, message, took, next, frame }] of found.entries()) {
    const shown = templates[index].slice(0, 60);
    t.diagnostic(`${shown}: ${code ?? "rendered"} after ${took.toFixed(0)} ms, longest frame ${frame.toFixed(0)} ms: ${(message ?? value).slice(0, 80)}`);
    assert.equal(code, "bad-model", shown);
    assert.ok(took < 15_000, `${shown}: ${took} ms`);
    assert.ok(frame < 1_000, `the page was held up for ${frame} ms: ${shown}`);
    assert.equal(next, "Hi", shown);
  }
});

async function open(t) {
  const page = await browser.newPage();
  t.after(() => page.close());
  page.setDefaultTimeout(0);
  await page.goto(server.url);
  return page;
}

/** The question with its answer as a row of tokens; only the answer and its end are learned. */
function lesson() {
  const prompt = tokensOf(PROMPT);
  const tokens = [...prompt, ...tokensOf(`${ANSWER}${END}`)];
  const labels = tokens.map((_, at) => (at < prompt.length - 1 ? NOT_SCORED : (tokens[at + 1] ?? NOT_SCORED)));
  return [tokens, [0, tokens.length], labels];
}

/** A text as tokens, without the SDK: a special token, or else a character each. */
function tokensOf(text) {
  return (text.match(/<\|\w+\|>|[^]/g) ?? []).map(idOf);
}

function idOf(piece) {
  const { model } = JSON.parse(readFileSync(join(miniatures, "chat/tokenizer.json"), "utf8"));
  return model.vocab[piece];
}
