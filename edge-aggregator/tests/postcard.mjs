// Just enough of postcard to speak to the operator's routes: written from its specification, so it
// also checks from outside that our messages are what they say.
export const WIRE_VERSION = 1;

export class Writer {
  #bytes = [];

  u8(value) {
    this.#bytes.push(value & 0xff);
    return this;
  }

  // Every integer wider than a byte, and every enum's variant, is a varint.
  varint(value) {
    let rest = BigInt(value);
    while (rest >= 0x80n) {
      this.#bytes.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.#bytes.push(Number(rest));
    return this;
  }

  f32(value) {
    this.#bytes.push(...new Uint8Array(new Float32Array([value]).buffer));
    return this;
  }

  bool(value) {
    return this.u8(value ? 1 : 0);
  }

  raw(bytes) {
    this.#bytes.push(...bytes);
    return this;
  }

  str(text) {
    const bytes = new TextEncoder().encode(text);
    return this.varint(bytes.length).raw(bytes);
  }

  seq(items, write) {
    this.varint(items.length);
    for (const item of items) write(this, item);
    return this;
  }

  option(value, write) {
    if (value === undefined || value === null) return this.u8(0);
    this.u8(1);
    write(this, value);
    return this;
  }

  // The finished message, behind the byte of the wire's version.
  message() {
    return new Uint8Array([WIRE_VERSION, ...this.#bytes]);
  }
}

export class Reader {
  #bytes;
  #at = 0;

  constructor(message) {
    this.#bytes = new Uint8Array(message);
    const version = this.u8();
    if (version !== WIRE_VERSION) throw new Error(`wire version ${version}`);
  }

  u8() {
    if (this.#at >= this.#bytes.length) throw new Error("message is too short");
    return this.#bytes[this.#at++];
  }

  varint() {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(value);
    }
  }

  f32() {
    return new Float32Array(this.raw(4).slice().buffer)[0];
  }

  bool() {
    return this.u8() === 1;
  }

  raw(length) {
    if (this.#at + length > this.#bytes.length) throw new Error("message is too short");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  str() {
    return new TextDecoder().decode(this.raw(this.varint()));
  }

  seq(read) {
    return Array.from({ length: this.varint() }, () => read(this));
  }

  option(read) {
    return this.u8() === 0 ? null : read(this);
  }

  // Leftover bytes would mean that reader and writer disagree.
  end() {
    if (this.#at !== this.#bytes.length) throw new Error("message has leftover bytes");
  }
}

export const hex = (bytes) => Buffer.from(bytes).toString("hex");
