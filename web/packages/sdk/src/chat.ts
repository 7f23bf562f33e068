/**
 * Conversing with a chat model in a page, by its own template: an entry of its own, `@choir/sdk/chat`,
 * whose thread and wasm module nothing else loads.
 *
 * ```ts
 * const template = await openChatTemplate({ tokenizerConfig });
 * const chat = new Chat({ model, template, tokenizer });
 * for await (const { text } of chat.answer([{ role: "user", content: "Hello" }])) show(text);
 * ```
 */

export { Chat } from "./chat_answer.ts";
export type { AnswerOptions, ChatAnswer, ChatModel, ChatSetup } from "./chat_answer.ts";
export { openChatTemplate } from "./chat_template.ts";
export type { ChatTemplate, ChatTemplateFiles } from "./chat_template.ts";
export { ChatTemplateError } from "./template_thread.ts";
export { asChoirError, ChoirError } from "./errors.ts";
export type { ChoirErrorCode } from "./errors.ts";
export type { ChatMessage, SamplingSettings } from "./modules.ts";
