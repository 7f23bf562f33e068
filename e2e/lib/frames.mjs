// Reads WebSocket frames (RFC 6455, section 5.2) from a stream of bytes, without changing them.

const CONTINUATION = 0;
const BINARY = 2;

/** Cuts a client's or server's bytes into frames: `{ raw, opcode, payload }`. */
export class FrameReader {
  #rest = Buffer.alloc(0);

  /** Frames that are complete after these bytes. */
  push(bytes) {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const frames = [];
    for (let frame = this.#next(); frame; frame = this.#next()) frames.push(frame);
    return frames;
  }

  #next() {
    const bytes = this.#rest;
    if (bytes.length < 2) return null;
    const masked = (bytes[1] & 0x80) !== 0;
    let length = bytes[1] & 0x7f;
    let at = 2;
    if (length === 126) {
      if (bytes.length < 4) return null;
      length = bytes.readUInt16BE(2);
      at = 4;
    } else if (length === 127) {
      if (bytes.length < 10) return null;
      length = Number(bytes.readBigUInt64BE(2));
      at = 10;
    }
    const key = at;
    if (masked) at += 4;
    if (bytes.length < at + length) return null;
    const payload = Buffer.from(bytes.subarray(at, at + length));
    if (masked) for (let i = 0; i < length; i++) payload[i] ^= bytes[key + (i & 3)];
    const frame = { raw: bytes.subarray(0, at + length), opcode: bytes[0] & 0x0f, payload };
    this.#rest = bytes.subarray(at + length);
    return frame;
  }
}

/** True for frames that carry a message of the protocol. */
export function isMessage(frame) {
  return frame.opcode === BINARY || frame.opcode === CONTINUATION;
}
