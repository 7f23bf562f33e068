// The search for a text in what left a browser finds it in every form that it knows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { askedBy, traceOf } from "../lib/traces.mjs";

const TEXT = "It was a quiet morning, and nobody had written yet: so said the letter.";

test("a part of a text is found in every form, and another text is not", () => {
  const part = TEXT.slice(5, 60);
  const wide = Buffer.from(part, "utf16le");
  const forms = [
    Buffer.from(part),
    wide,
    Buffer.from(wide).swap16(),
    Buffer.from(Buffer.from(part).toString("hex")),
    Buffer.from(encodeURIComponent(part)),
    Buffer.from(encodeURIComponent(part).replaceAll("%20", "+")),
    ...["", "x", "xy"].map((before) => Buffer.from(Buffer.from(before + TEXT).toString("base64"))),
  ];
  for (const form of forms) {
    const framed = Buffer.concat([Buffer.from([1, 2, 3]), form, Buffer.alloc(9)]);
    assert.notEqual(traceOf(TEXT, framed), null, form.toString("latin1"));
  }
  assert.equal(traceOf(TEXT, Buffer.from("It was a quiet evening, and everybody had written: so said he.")), null);
});

test("what one origin's pages asked for is told from what others did", () => {
  const line = (initiator, url) => JSON.stringify({ type: 2, params: { initiator, url } });
  const log = ['{"constants":{},', '"events": [', `${line("chrome-extension://a", "http://127.0.0.1:1/v1")},`, `${line("http://site", "http://site/x")}],`].join("\n");
  assert.deepEqual(askedBy("chrome-extension://a", log), ["http://127.0.0.1:1/v1"]);
});
