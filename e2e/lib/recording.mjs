// What left one tab, in one file: each request and each frame whole, one after the other, so that
// something that spans several packets is still found.
import { appendFileSync } from "node:fs";

export class Recording {
  #file;

  /** Without a file nothing is written down. */
  constructor(file) {
    this.#file = file;
  }

  /** Something that left in one piece. */
  add(bytes) {
    if (this.#file) appendFileSync(this.#file, bytes);
  }

  /** Something that leaves piece by piece: it is written down when it ends, however it ends. */
  begin() {
    const pieces = [];
    return {
      add: (bytes) => this.#file && pieces.push(bytes),
      end: () => pieces.length > 0 && this.add(Buffer.concat(pieces.splice(0))),
    };
  }
}

/** A request's first line and its headers as they were sent. */
export function headOf({ method, url, rawHeaders }) {
  const lines = [`${method} ${url}`];
  for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  return Buffer.from(`${lines.join("\n")}\n\n`);
}
