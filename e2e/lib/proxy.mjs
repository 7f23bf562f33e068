// A proxy in front of the aggregator, one per tab: it sees everything that leaves the tab, can
// write it down, and can cut the tab off at an exact point of its round.
import http from "node:http";
import net from "node:net";
import { FrameReader, isMessage } from "./frames.mjs";
import { Gate } from "./gate.mjs";
import { headOf, Recording } from "./recording.mjs";

// Every message starts with the wire version, then the variant's number.
const SHARE = 1;
const ACK = 2;

const isUploadPath = (url) => /\/(upload|reports)$/.test(url.split("?")[0]);

/** The points of a round at which a tab can be closed. */
export const CLOSINGS = ["before-share", "after-share", "mid-upload", "after-upload"];

export class TabProxy {
  #upstream;
  #server;
  #sockets = new Set();
  #recording;
  #closeAt = null;
  #onClosing = () => {};
  #cut = false;
  /** Holds the tab's upload or signature on its way. */
  gate = new Gate();

  /** `record` names a file that gets every byte that leaves the tab, or is what gets them. */
  constructor(upstream, record) {
    this.#upstream = new URL(upstream);
    this.#recording = record instanceof Recording ? record : new Recording(record);
    this.#server = http.createServer((request, response) => this.#request(request, response));
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on("connection", (socket) => this.#track(socket));
  }

  /** Starts and gives the address that the tab opens. */
  async listen() {
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Cuts the tab off when it gets to that point, then calls `onClosing`. */
  closeAt(point, onClosing) {
    if (!CLOSINGS.includes(point)) throw new Error(`no such point of a round: ${point}`);
    this.#closeAt = point;
    this.#onClosing = onClosing;
  }

  /** Lets a fresh tab through. */
  reopen() {
    this.#cut = false;
    this.#closeAt = null;
  }

  end() {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #track(socket) {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }

  // Nothing more of this tab gets through; what was sent before is delivered.
  #cutOff() {
    const point = this.#closeAt;
    this.#cut = true;
    this.#closeAt = null;
    this.#onClosing(point);
  }

  #request(request, response) {
    if (this.#cut) return request.destroy();
    const isUpload = request.method === "POST" && isUploadPath(request.url);
    if (!isUpload) return this.#forward(request, response, false);
    this.gate.pass("upload", () => this.#forward(request, response, true));
  }

  #forward(request, response, isUpload) {
    const { hostname, port } = this.#upstream;
    const { method, url, headers } = request;
    const leaving = this.#recording.begin(request);
    leaving.add(headOf(request));
    request.on("end", leaving.end);
    request.on("close", leaving.end);
    const half = isUpload && this.#closeAt === "mid-upload" ? Number(headers["content-length"]) / 2 : Infinity;
    // A connection of its own: one that is kept alive may be closed just when it is used again.
    const forward = http.request({ hostname, port, method, path: url, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
      answer.on("end", () => {
        if (isUpload && answer.statusCode === 200 && this.#closeAt === "after-upload") this.#cutOff();
      });
    });
    forward.on("error", () => response.destroy());
    let sent = 0;
    request.on("data", (chunk) => {
      if (this.#cut) return;
      const part = sent + chunk.length > half ? chunk.subarray(0, Math.max(1, Math.floor(half - sent))) : chunk;
      sent += part.length;
      leaving.add(part);
      forward.write(part);
      if (sent >= half || part !== chunk) {
        this.#cutOff();
        // The half that was written goes out before the connection breaks.
        setTimeout(() => forward.destroy(), 100);
      }
    });
    request.on("end", () => {
      if (!this.#cut) forward.end();
    });
    request.on("error", () => forward.destroy());
  }

  #upgrade(request, socket, head) {
    if (this.#cut) return socket.destroy();
    const server = net.connect(Number(this.#upstream.port), this.#upstream.hostname);
    this.#track(server);
    this.#recording.add(headOf(request), request);
    const lines = [`${request.method} ${request.url} HTTP/1.1`];
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      // Without the compression extension a message can be read as it passes.
      if (request.rawHeaders[i].toLowerCase() === "sec-websocket-extensions") continue;
      lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    }
    server.write(`${lines.join("\r\n")}\r\n\r\n`);
    server.on("data", (bytes) => socket.writable && socket.write(bytes));
    const reader = new FrameReader();
    const take = (bytes) => {
      for (const frame of reader.push(bytes)) this.#frame(frame, server);
    };
    socket.on("data", take);
    if (head.length > 0) take(head);
    // The server's sockets stay open for writing when the other side ends: a closed tab must show.
    socket.on("end", () => socket.destroy());
    socket.on("close", () => server.destroy());
    server.on("close", () => socket.destroy());
  }

  #frame(frame, server) {
    if (this.#cut) return;
    const isShare = isMessage(frame) && frame.payload[1] === SHARE;
    if (isShare && this.#closeAt === "before-share") {
      this.#cutOff();
      server.end();
      return;
    }
    this.#recording.add(frame.payload, frame);
    if (isMessage(frame) && frame.payload[1] === ACK) this.gate.pass("ack", () => server.write(frame.raw));
    else server.write(frame.raw);
    if (isShare && this.#closeAt === "after-share") {
      this.#cutOff();
      server.end();
    }
  }
}
