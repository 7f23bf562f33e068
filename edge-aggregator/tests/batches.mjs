// What a leader asks its helper: a way in between that keeps every question, and its bytes.
import { createServer } from "node:http";
import { Reader, Writer } from "./postcard.mjs";

const SEALED = 16 + 80 + 32;

// `{ header, reports }`: a report is 128 bytes, its identifier first.
export function readBatch(bytes) {
  const from = new Reader(bytes);
  const header = from.raw(from.varint());
  const reports = from.seq((message) => message.raw(SEALED));
  from.end();
  return { header, reports };
}

export const writeBatch = ({ header, reports }) =>
  new Writer().varint(header.length).raw(header).seq(reports, (to, report) => to.raw(report)).message();

const REFUSALS = [
  "malformed", "unknown_task", "header", "other_helper", "too_few", "too_many", "repeated", "used", "too_few_opened",
];

// `{ leftOut, masks }` or `{ refused }`.
export function readReply(bytes) {
  const from = new Reader(bytes);
  if (from.varint() === 1) return { refused: REFUSALS[from.varint()] };
  from.raw(32);
  return { leftOut: from.seq((message) => message.raw(16)), masks: from.raw(from.varint()) };
}

// Listens on `port`, passes each question on to `helper`, and keeps it. While `away` is true it answers nothing.
export class HelperProxy {
  questions = [];
  away = false;
  #server;

  constructor(helper) {
    this.#server = createServer(async (request, response) => {
      if (this.away) return request.destroy();
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const body = Buffer.concat(chunks);
      const { method, url, headers } = request;
      const answer = await fetch(new URL(url, helper), { method, headers: { authorization: headers.authorization }, body });
      const reply = Buffer.from(await answer.arrayBuffer());
      this.questions.push({ path: url, body, reply, status: answer.status });
      response.writeHead(answer.status, { "content-length": reply.length });
      response.end(reply);
    });
  }

  async listen(port = 0) {
    await new Promise((resolve, reject) => this.#server.once("error", reject).listen(port, "127.0.0.1", resolve));
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
