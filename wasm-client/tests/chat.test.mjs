// The wasm module of chat templates: the texts that Jinja2 makes of conversations (tests/chat/make.py, as
// tests/chat.rs compares with natively), and what hostile templates come to on the small stack of wasm.
// CHOIR_OUT names target/choir.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const module = join(process.env.CHOIR_OUT ?? join(here, "../../target/choir"), "wasm/chat");
const skip = existsSync(module) ? false : `no module: ${module} is not there`;
const read = (name) => readFileSync(join(here, "chat", name), "utf8");
const { tokens, cases } = JSON.parse(read("conversations.json"));
const MESSAGES = [{ role: "user", content: "Hi" }];
/** More than any of these takes where two cores are shared; without end is longer. */
const GIVEN_UP_MS = 30_000;

let wasm;
let instances = 0;

/** A fresh instance: a trap ends the one before. */
async function load() {
  wasm = await import(`${pathToFileURL(join(module, "choir_wasm_client.js"))}?${instances++}`);
  wasm.initSync({ module: readFileSync(join(module, "choir_wasm_client_bg.wasm")) });
}
before(() => (skip ? undefined : load()));

const open = (template) => wasm.readChatFiles(JSON.stringify({ chat_template: template }), undefined);

for (const name of Object.keys(tokens)) {
  test(`conversations become the texts that Jinja2 makes by the template ${name}`, { skip }, () => {
    const files = wasm.readChatFiles(JSON.stringify(tokens[name]), read(`${name}.jinja`));
    const own = cases.filter(({ template }) => template === name);
    assert.ok(own.length >= 10);
    for (const { messages, add_generation_prompt, text, refused } of own) {
      const render = () => wasm.renderChat(files, messages, add_generation_prompt);
      if (refused === undefined) assert.equal(render(), text);
      else assert.throws(render, ({ code, line, message }) => code === "refused" && line > 1 && message.includes(refused));
    }
  });
}

test("what is wrong with files, template or messages is said with code, line and what to do", { skip }, () => {
  const says = (work, code, line, message) =>
    assert.throws(work, (error) => {
      assert.deepEqual([error.code, error.line], [code, line], error.message);
      assert.match(error.message, message);
      return true;
    });
  says(() => wasm.readChatFiles("{", undefined), "bad-model", null, /tokenizer_config.json cannot be read/);
  says(() => wasm.readChatFiles("{}", undefined), "bad-model", null, /give the text of chat_template.jinja/);
  says(() => open("{{ 1 }}\n{% if %}"), "bad-model", 2, /^line 2 of the chat template: syntax error.*give another/);
  says(() => wasm.renderChat(open("\n\n{{ messages | tojson }}"), MESSAGES, true), "bad-model", 3, /unknown filter.*give another/);
  says(() => wasm.renderChat(open("\n{{ raise_exception('No.') }}"), MESSAGES, true), "refused", 2, /No\.: change the messages/);
  says(() => wasm.renderChat(open("x"), [...MESSAGES, { role: "user" }], true), "bad-input", null, /message 2 is not/);
  says(() => wasm.renderChat(open("x"), [{ role: "user", content: 3 }], true), "bad-input", null, /invalid type/);
});

/** Templates that would go on without end. */
const ENDLESS = {
  "loops in loops": "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
  "a macro that calls itself": "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
  "a loop that calls itself": "{% for a in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
  "a text that doubles": "{% set n = namespace(x='x') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
  "a text times a number": "{{ 'x' * 99999999999 }}",
  "a text in place of each letter": "{% set n = namespace(x='xx') %}{% for a in range(99) %}{% set n.x = n.x.replace('x', n.x) %}{% endfor %}",
  "deep brackets": `{{ ${"(".repeat(50_000)}1${")".repeat(50_000)} }}`,
  "deep blocks": "{% if 1 %}".repeat(15_000),
};
for (const [what, template] of Object.entries(ENDLESS)) {
  test(`a template is given up: ${what}`, { skip }, (t) => {
    const start = performance.now();
    assert.throws(() => wasm.renderChat(open(template), MESSAGES, true), ({ code, line }) => code === "bad-model" && line === 1);
    const took = performance.now() - start;
    t.diagnostic(`${took.toFixed(0)} ms`);
    assert.ok(took < GIVEN_UP_MS, `${took} ms`);
    assert.equal(wasm.renderChat(open("{{ messages[0].content }}"), MESSAGES, true), "Hi", "the next template");
  });
}

/** Templates that end on the stack or at the limit of memory, which ends the instance and nothing else. */
const TRAPS = {
  "a long sum": `{{ ${"1+".repeat(90_000)}1 }}`,
  "many conditions": `{% if 0 %}${"{% elif 0 %}".repeat(15_000)}{% endif %}`,
  "a list in a list in a list": "{% set n = namespace(x=[]) %}{% for a in range(90000) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x }}",
  "more memory than it may have": "{% set n = namespace(x=['x' * 60000]) %}{% for a in range(30) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x ~ '' }}",
};
for (const [what, template] of Object.entries(TRAPS)) {
  test(`a template traps, and a fresh instance renders the next: ${what}`, { skip }, async (t) => {
    const start = performance.now();
    assert.throws(() => wasm.renderChat(open(template), MESSAGES, true), (error) => {
      t.diagnostic(`${error.name}: ${error.message}`);
      return error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
    });
    const took = performance.now() - start;
    t.diagnostic(`${took.toFixed(0)} ms`);
    await load();
    assert.ok(took < GIVEN_UP_MS, `${took} ms`);
    assert.equal(wasm.renderChat(open("{{ messages[0].content }}"), MESSAGES, true), "Hi");
  });
}
