/** The thread of chat templates: one call at a time, refusals with their line, and a fresh one after an end. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChatReply, ChatRequest } from "../packages/sdk/src/chat_calls.ts";
import { readTemplate } from "../packages/sdk/src/chat_template.ts";
import { ChoirError } from "../packages/sdk/src/errors.ts";
import { ChatTemplateError, TemplateThread } from "../packages/sdk/src/template_thread.ts";
import type { ThreadLike } from "../packages/sdk/src/template_thread.ts";

const FILES = { template: "", bosToken: null, eosToken: "</s>" };
const LOADED: ChatReply = { kind: "loaded" };

/** A thread that replies as it is told; to what it is told nothing for it is silent. */
class Thread implements ThreadLike {
  onmessage: Worker["onmessage"] = null;
  onerror: Worker["onerror"] = null;
  ended = false;
  readonly asked: string[] = [];

  constructor(readonly replies: (ChatReply | "silence" | "error")[]) {}

  postMessage(request: ChatRequest): void {
    this.asked.push(request.kind);
    const reply = this.replies.shift() ?? "silence";
    if (reply === "silence") return;
    queueMicrotask(() => {
      if (reply === "error") this.onerror?.call(null as never, new Event("error") as ErrorEvent);
      else this.onmessage?.call(null as never, { data: reply } as MessageEvent);
    });
  }

  terminate(): void {
    this.ended = true;
  }
}

const text = (value: string): ChatReply => ({ kind: "text", text: value });
const messages = [{ role: "user", content: "Hi" }];

/** A template on threads that start one after the other. */
function open(...threads: Thread[]) {
  const left = [...threads];
  const start = (): Thread => left.shift() ?? assert.fail("no thread is left");
  const thread = new TemplateThread({}, start, 50);
  return readTemplate(thread, { tokenizerConfig: "{}" });
}

test("a template is read and rendered in one thread, one call at a time", async () => {
  const thread = new Thread([LOADED, { kind: "files", files: FILES }, text("a"), text("b")]);
  const template = await open(thread);
  assert.deepEqual([template.bosToken, template.eosToken], [null, "</s>"]);
  assert.deepEqual(await Promise.all([template.render(messages), template.render(messages)]), ["a", "b"]);
  assert.deepEqual(thread.asked, ["load", "read", "render", "render"]);
  template.close();
  assert.ok(thread.ended);
  await assert.rejects(template.render(messages), { code: "closed" });
});

test("a refusal has the template's line, and the thread stays", async () => {
  const thread = new Thread([
    LOADED,
    { kind: "files", files: FILES },
    { kind: "refusal", code: "refused", message: "the user comes first", line: 3 },
    { kind: "refusal", code: "bad-input", message: "message 1 has no role", line: null },
    text("a"),
  ]);
  const template = await open(thread);
  await assert.rejects(template.render(messages), (error) => {
    assert.ok(error instanceof ChatTemplateError);
    assert.deepEqual([error.code, error.line, error.message], ["refused", 3, "the user comes first"]);
    return true;
  });
  await assert.rejects(template.render([]), (error) => error instanceof ChoirError && !(error instanceof ChatTemplateError));
  assert.equal(await template.render(messages), "a");
});

test("a thread that traps or is late is ended, and a fresh one goes on", async () => {
  const trapping = new Thread([LOADED, { kind: "files", files: FILES }, { kind: "trapped" }]);
  const late = new Thread([LOADED, "silence"]);
  const template = await open(trapping, late, new Thread([LOADED, text("a")]));
  await assert.rejects(template.render(messages), { code: "bad-model", line: null, message: /stack/ });
  await assert.rejects(template.render(messages), { code: "bad-model", line: null, message: /took longer/ });
  assert.deepEqual([trapping.ended, late.ended], [true, true]);
  assert.equal(await template.render(messages), "a");
});

test("a thread or a module that cannot be loaded is said to be missing", async () => {
  await assert.rejects(open(new Thread(["error"])), { code: "missing-file", message: /chat_thread.js/ });
  const refusal: ChatReply = { kind: "refusal", code: "changed-file", message: "not what was built", line: null };
  await assert.rejects(open(new Thread([refusal])), { code: "changed-file" });
});
