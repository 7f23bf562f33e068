/**
 * A model's own chat template: conversations as the text that the model was trained on. It is Jinja,
 * rendered by a wasm module in a thread of its own, both of which the first template starts.
 */

import type { ChatReply, ChatRequest } from "./chat_calls.ts";
import { ChoirError } from "./errors.ts";
import { moduleTable } from "./files.ts";
import type { ChatFiles, ChatMessage } from "./modules.ts";
import { TemplateThread } from "./template_thread.ts";

export interface ChatTemplateFiles {
  /** The text of `tokenizer_config.json`. */
  readonly tokenizerConfig: string;
  /** The text of `chat_template.jinja`, where the model has it: it goes before the one of the other file. */
  readonly chatTemplate?: string;
  /** The folder of the wasm modules, with a slash at its end; `wasm/` beside this script if not given. */
  readonly modules?: string | URL;
  /** The thread's script; `chat_thread.js` beside this script if not given. */
  readonly thread?: string | URL;
}

/** What a template is rendered by. */
export type TemplateCalls = Pick<TemplateThread, "call" | "close">;

/** Starts the thread and reads a chat model's files; rejects where they have no template that is Jinja. */
export async function openChatTemplate(files: ChatTemplateFiles): Promise<ChatTemplate> {
  const thread = new TemplateThread(moduleTable(files.modules), () => startThread(files.thread));
  try {
    return await readTemplate(thread, files);
  } catch (thrown) {
    thread.close();
    throw thrown;
  }
}

/** The template of a chat model's files, rendered by this thread. */
export async function readTemplate(thread: TemplateCalls, { tokenizerConfig, chatTemplate }: ChatTemplateFiles): Promise<ChatTemplate> {
  const { files } = await replyTo(thread, { kind: "read", tokenizerConfig, chatTemplate }, "files");
  return new ChatTemplate(thread, files);
}

/** A template that was parsed. */
export class ChatTemplate {
  readonly #thread: TemplateCalls;
  readonly #files: ChatFiles;

  constructor(thread: TemplateCalls, files: ChatFiles) {
    this.#thread = thread;
    this.#files = files;
  }

  /** What starts a text, where the model has such a token. */
  get bosToken(): string | null {
    return this.#files.bosToken;
  }

  /** What ends a text, where the model has such a token. */
  get eosToken(): string | null {
    return this.#files.eosToken;
  }

  /** The text of a conversation; the assistant's next turn is begun in it, unless that is not asked for. */
  async render(
    messages: readonly ChatMessage[],
    { addGenerationPrompt = true }: { readonly addGenerationPrompt?: boolean } = {},
  ): Promise<string> {
    const request = { kind: "render", files: this.#files, messages, addGenerationPrompt } as const;
    const { text } = await replyTo(this.#thread, request, "text");
    return text;
  }

  /** Ends its thread. */
  close(): void {
    this.#thread.close();
  }
}

async function replyTo<K extends ChatReply["kind"]>(
  thread: TemplateCalls,
  request: ChatRequest,
  kind: K,
): Promise<Extract<ChatReply, { kind: K }>> {
  const reply = await thread.call(request);
  if (reply.kind !== kind) throw new ChoirError("internal", `the thread of chat templates answered "${reply.kind}"`);
  return reply as Extract<ChatReply, { kind: K }>;
}

function startThread(script: string | URL | undefined): Worker {
  if (script !== undefined) return new Worker(script, { type: "module", name: "chat templates" });
  // To the letter: bundlers look for exactly this.
  return new Worker(new URL("./chat_thread.js", import.meta.url), { type: "module", name: "chat templates" });
}
