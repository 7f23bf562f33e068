// What left one tab, thing by thing: size and digest of every request's body and of every message,
// for a comparison with what the tab says of itself.
import { createHash } from "node:crypto";
import { isMessage } from "./frames.mjs";
import { Recording } from "./recording.mjs";

const FINAL = 0x80;

export class Witness extends Recording {
  /** In the order in which they were whole: `{ kind, request, bytes, sha256 }`. */
  sendings = [];
  #fragments = [];

  constructor() {
    super(null);
  }

  /** A request for a socket, or a frame that went through one. */
  add(bytes, source) {
    if (source?.method) return this.#see("socket open", nameOf(source), Buffer.alloc(0));
    if (!isMessage(source)) return;
    this.#fragments.push(bytes);
    if ((source.raw[0] & FINAL) === 0) return;
    this.#see("socket message", null, Buffer.concat(this.#fragments.splice(0)));
  }

  /** A request: first its head, which the name stands for, then its body piece by piece. */
  begin(request) {
    const pieces = [];
    let ended = false;
    return {
      add: (bytes) => pieces.push(bytes),
      end: () => {
        if (ended) return;
        ended = true;
        this.#see(request.method === "POST" ? "upload" : "request", nameOf(request), Buffer.concat(pieces.slice(1)));
      },
    };
  }

  #see(kind, request, body) {
    const sha256 = createHash("sha256").update(body).digest("hex");
    this.sendings.push({ kind, request, bytes: body.length, sha256 });
  }
}

const nameOf = ({ method, url }) => `${method} ${url}`;
