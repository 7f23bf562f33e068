/** What the page and the thread of chat templates say to each other: one call at a time. */

import type { ModuleTable } from "./files.ts";
import type { ChatFiles, ChatMessage } from "./modules.ts";

/** A thread loads its module first, and says so. */
export type ChatRequest =
  | { readonly kind: "load"; readonly modules: ModuleTable }
  | { readonly kind: "read"; readonly tokenizerConfig: string; readonly chatTemplate: string | undefined }
  | {
      readonly kind: "render";
      readonly files: ChatFiles;
      readonly messages: readonly ChatMessage[];
      readonly addGenerationPrompt: boolean;
    };

export type ChatReply =
  | { readonly kind: "loaded" }
  | { readonly kind: "files"; readonly files: ChatFiles }
  | { readonly kind: "text"; readonly text: string }
  | ChatRefusal
  /** The module ended in a trap: the thread is of no use any more. */
  | { readonly kind: "trapped" };

/** An error that the module has words for. */
export interface ChatRefusal {
  readonly kind: "refusal";
  readonly code: string;
  readonly message: string;
  /** Of the template, from 1; `null` where none is to blame. */
  readonly line: number | null;
}
