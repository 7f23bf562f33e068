/**
 * The page's side of the thread of chat templates: one call at a time, each with a deadline. A thread
 * that is late or has trapped is ended, and the next call starts a fresh one.
 */

import type { ChatRefusal, ChatReply, ChatRequest } from "./chat_calls.ts";
import type { ChoirErrorCode } from "./errors.ts";
import { asChoirError, ChoirError } from "./errors.ts";
import type { ModuleTable } from "./files.ts";

/**
 * A template that cannot be used (`bad-model`: no template, not Jinja, something that is not there, no
 * end), or that refuses a conversation by `raise_exception` (`refused`).
 */
export class ChatTemplateError extends ChoirError {
  constructor(
    code: ChoirErrorCode,
    message: string,
    /** The template's line, from 1; `null` where none is to blame. */
    readonly line: number | null,
  ) {
    super(code, message);
  }
}

/** What this file uses of a `Worker`. */
export type ThreadLike = Pick<Worker, "postMessage" | "terminate" | "onmessage" | "onerror">;

/** Far more than any conversation takes. */
const DEADLINE_MS = 5_000;

const TOO_DEEP =
  "the chat template nests deeper than its stack or takes more memory than it may, and was given up: give another template";
const TOO_LONG = "the chat template took longer than it may, and was given up: give another template";
const NO_THREAD =
  "the thread of chat templates could not be started: chat_thread.js of the @choir/sdk package must lie beside " +
  "chat.js, and the page's policy must allow it by `worker-src 'self'`";

export class TemplateThread {
  #worker: ThreadLike | null = null;
  /** The call under way. */
  #underWay: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(
    readonly modules: ModuleTable,
    readonly start: () => ThreadLike,
    readonly deadline = DEADLINE_MS,
  ) {}

  /** The reply to a call, once those before it are answered; rejects with what it was refused with. */
  call(request: ChatRequest): Promise<ChatReply> {
    const answered = this.#underWay.then(() => this.#answered(request));
    this.#underWay = answered.catch(() => {});
    return answered;
  }

  /** Ends the thread. */
  close(): void {
    this.#closed = true;
    this.#end();
  }

  async #answered(request: ChatRequest): Promise<ChatReply> {
    const worker = this.#worker ?? (await this.#started());
    const reply = await replyOf(worker, request, this.deadline);
    if (this.#closed) throw closed();
    if (typeof reply === "object" && reply.kind !== "trapped") {
      if (reply.kind === "refusal") throw asError(reply);
      return reply;
    }
    this.#end();
    if (reply === "lost") throw new ChoirError("missing-file", NO_THREAD);
    throw new ChatTemplateError("bad-model", reply === "late" ? TOO_LONG : TOO_DEEP, null);
  }

  /** A thread whose module is loaded; that may take as long as the network does. */
  async #started(): Promise<ThreadLike> {
    if (this.#closed) throw closed();
    const worker = this.start();
    const reply = await replyOf(worker, { kind: "load", modules: this.modules }, null);
    if (!this.#closed && typeof reply === "object" && reply.kind === "loaded") {
      this.#worker = worker;
      return worker;
    }
    worker.terminate();
    if (this.#closed) throw closed();
    if (typeof reply === "object" && reply.kind === "refusal") throw asChoirError(reply);
    throw new ChoirError("missing-file", NO_THREAD);
  }

  #end(): void {
    this.#worker?.terminate();
    this.#worker = null;
  }
}

/** The next message of a thread, or that it came too late or not at all. */
function replyOf(worker: ThreadLike, request: ChatRequest, deadline: number | null): Promise<ChatReply | "late" | "lost"> {
  return new Promise((resolve) => {
    const timer = deadline === null ? undefined : setTimeout(() => resolve("late"), deadline);
    const settle = (reply: ChatReply | "lost"): void => {
      clearTimeout(timer);
      resolve(reply);
    };
    worker.onmessage = ({ data }: MessageEvent<ChatReply>) => settle(data);
    worker.onerror = () => settle("lost");
    worker.postMessage(request);
  });
}

function closed(): ChoirError {
  return new ChoirError("closed", "this chat template was closed: open it again");
}

function asError(refusal: ChatRefusal): ChoirError {
  const error = asChoirError(refusal);
  // What the caller gave is no fault of the template.
  return error.code === "bad-input" ? error : new ChatTemplateError(error.code, error.message, refusal.line);
}
