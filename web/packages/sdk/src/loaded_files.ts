/**
 * What the browser loads by itself for a page or a training thread: scripts, modules, styles. It
 * tells of each afterwards, and for the receipt those are noted that were not taken from a cache.
 */

import type { ChoirEvent } from "./events.ts";
import { Notes } from "./notes.ts";
import type { Recorder } from "./receipt.ts";
import { EMPTY_SHA256, ReceiptBook } from "./receipt.ts";

/** What one loaded file looks like to this. */
export interface LoadedFile {
  readonly name: string;
  /** 0 where it came from a cache, and where another origin does not let this one know. */
  readonly transferSize: number;
}

/** Stops watching this page's files. */
let unwatchPage: (() => void) | null = null;

/** Notes the page's files, once however many choirs a page has; a session has begun by then. */
export function watchPageFiles(aggregator: string, emit: (event: ChoirEvent) => void): void {
  unwatchPage ??= watchLoadedFiles(new ReceiptBook("page", Notes.open(), () => EMPTY_SHA256, emit), aggregator);
}

/** For those who forget: what loads from now on is not noted. */
export function unwatchPageFiles(): void {
  unwatchPage?.();
  unwatchPage = null;
}

/** Notes files that were loaded already and those to come, until the function that it yields is called. */
export function watchLoadedFiles(recorder: Recorder, aggregator: string): () => void {
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as PerformanceResourceTiming[]) {
      if (leftAsFile(entry, location.origin, aggregator)) {
        void recorder.note({ kind: "file", what: "request", method: "GET", url: entry.name });
      }
    }
  });
  observer.observe({ type: "resource", buffered: true });
  return () => observer.disconnect();
}

/** True for what left this tab as a request for a file; calls of the aggregator note themselves. */
export function leftAsFile({ name, transferSize }: LoadedFile, origin: string, aggregator: string): boolean {
  if (!/^https?:/.test(name) || name.startsWith(`${aggregator.replace(/\/$/, "")}/v1/`)) return false;
  return transferSize > 0 || new URL(name).origin !== origin;
}
