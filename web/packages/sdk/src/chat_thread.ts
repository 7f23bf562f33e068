/**
 * Entry of the thread in which chat templates are rendered. A template is a stranger's program: here it
 * holds up nothing, and the page can end it.
 */

import type { ChatReply, ChatRequest } from "./chat_calls.ts";
import { asChoirError } from "./errors.ts";
import type { ChatModule } from "./modules.ts";
import { loadModule } from "./modules.ts";

/** What this file uses of `DedicatedWorkerGlobalScope`, which is not in the page's type library. */
interface ThreadScope {
  onmessage: ((event: MessageEvent<ChatRequest>) => void) | null;
  postMessage(reply: ChatReply): void;
}

const scope = self as unknown as ThreadScope;
let module: ChatModule | null = null;

scope.onmessage = ({ data }) => {
  void answer(data).then((reply) => scope.postMessage(reply));
};

async function answer(request: ChatRequest): Promise<ChatReply> {
  if (request.kind === "load") return load(request);
  try {
    if (module === null) return { kind: "trapped" };
    if (request.kind === "read") return { kind: "files", files: module.readChatFiles(request.tokenizerConfig, request.chatTemplate) };
    const { files, messages, addGenerationPrompt } = request;
    return { kind: "text", text: module.renderChat(files, messages, addGenerationPrompt) };
  } catch (thrown) {
    return refusalOf(thrown) ?? { kind: "trapped" };
  }
}

async function load({ modules }: Extract<ChatRequest, { kind: "load" }>): Promise<ChatReply> {
  try {
    module = (await loadModule(modules, "chat")) as ChatModule;
    return { kind: "loaded" };
  } catch (thrown) {
    const { code, message } = asChoirError(thrown);
    return { kind: "refusal", code, message, line: null };
  }
}

/** What the module throws by itself; a trap is an `Error` of the browser's own. */
function refusalOf(thrown: unknown): ChatReply | null {
  if (typeof thrown !== "object" || thrown === null || thrown instanceof Error || !("code" in thrown)) return null;
  const { code, message, line } = thrown as { code: string; message: string; line: number | null };
  return { kind: "refusal", code, message, line };
}
