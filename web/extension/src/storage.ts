/** The extension's storage with its types. Written by the service worker only. */

import type { TaskSummary } from "@choir/sdk";
import type { Collection } from "./collection.ts";
import type { Settings } from "./messages.ts";

/** Counts up with what the popup says that happens: who agreed to less is asked again. */
export const AGREEMENT = 2;

export interface Stored extends Collection {
  readonly hasConsent: boolean;
  /** The agreement that the consent was given to. */
  readonly agreement: number;
  readonly settings: Settings;
  /** What the aggregator said of the task, asked only after consent. */
  readonly task: TaskSummary | null;
  /** Why the last text was not taken. */
  readonly notice: string | null;
}

const EMPTY: Stored = {
  hasConsent: false,
  agreement: 1,
  sites: [],
  examples: [],
  settings: { aggregator: "http://127.0.0.1:8787", task: "", engine: "auto", policy: "default" },
  task: null,
  notice: null,
};

export async function read(): Promise<Stored> {
  return (await chrome.storage.local.get(EMPTY)) as unknown as Stored;
}

export async function write(change: Partial<Stored>): Promise<void> {
  await chrome.storage.local.set(change);
}
