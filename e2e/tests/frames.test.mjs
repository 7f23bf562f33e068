// The frame reader gives back what was sent, however the bytes are cut.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameReader, isMessage } from "../lib/frames.mjs";

function maskedFrame(payload) {
  const key = Buffer.from([1, 2, 3, 4]);
  const head = payload.length < 126 ? Buffer.from([0x82, 0x80 | payload.length]) : Buffer.from([0x82, 0xfe, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([head, key, payload.map((byte, i) => byte ^ key[i & 3])]);
}

test("frames are read whole from bytes cut anywhere", () => {
  const payloads = [Buffer.from([1, 0, 7]), Buffer.alloc(300, 9)];
  const bytes = Buffer.concat(payloads.map(maskedFrame));
  for (const size of [1, 2, 7, bytes.length]) {
    const reader = new FrameReader();
    const frames = [];
    for (let at = 0; at < bytes.length; at += size) frames.push(...reader.push(bytes.subarray(at, at + size)));
    assert.deepEqual(frames.map((frame) => frame.payload), payloads);
    assert.deepEqual(Buffer.concat(frames.map((frame) => frame.raw)), bytes);
    assert.ok(frames.every(isMessage));
  }
});
