/** What the extension's parts say to each other. */

import type { EngineWish, Example, TaskSummary } from "@choir/sdk";

/** Whom and what the visitor chose. */
export interface Settings {
  readonly aggregator: string;
  /** Hex; empty for the task that the aggregator names. */
  readonly task: string;
  readonly engine: EngineWish;
  readonly policy: "default" | "demo";
}

/** From the popup to the service worker, which alone writes the storage. */
export type Command =
  | { readonly to: "background"; readonly kind: "consent"; readonly given: boolean }
  | { readonly to: "background"; readonly kind: "site"; readonly site: string; readonly isUsed: boolean }
  | { readonly to: "background"; readonly kind: "remove"; readonly id: string }
  | { readonly to: "background"; readonly kind: "settings"; readonly settings: Settings }
  | { readonly to: "background"; readonly kind: "join" | "leave" | "forget" };

/** From the service worker to the document that trains. */
export type Order =
  | { readonly to: "offscreen"; readonly kind: "describe"; readonly settings: Settings }
  | { readonly to: "offscreen"; readonly kind: "join"; readonly settings: Settings; readonly examples: readonly Example[] }
  | { readonly to: "offscreen"; readonly kind: "leave" | "forget" };

/** The answer to either. */
export type Answer = { readonly problem: string } | { readonly problem: null; readonly task: TaskSummary | null };

/** Told to every open popup over its port. */
export interface Progress {
  readonly isRunning: boolean;
  readonly text: string;
  readonly problem: string | null;
  readonly rounds: readonly string[];
}

/** The name of those ports. */
export const PROGRESS_PORT = "progress";

/** True for a message to this part of the extension. */
export function isFor<M extends { readonly to: string }>(to: M["to"], message: unknown): message is M {
  return typeof message === "object" && message !== null && "to" in message && message.to === to;
}
