/**
 * The privacy receipt: every sending of this SDK, noted down before it leaves the tab. It holds
 * sizes and digests, never content, and stays in the browser.
 */

import type { ChoirEvent, SentWhat } from "./events.ts";
import { noteIfPossible, Notes } from "./notes.ts";

/** `file`: a file of the page or of this package, which the browser loads by itself. */
export type SendingKind = "request" | "socket open" | "socket message" | "upload" | "file";

/** One thing that left the tab. */
export interface ReceiptEntry {
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly kind: SendingKind;
  /** Where it went. */
  readonly host: string;
  /** Method and path; a message goes through the socket at that path. */
  readonly request: string;
  /** Size of the body or message. The browser adds its usual headers, this SDK a content type. */
  readonly bytes: number;
  /** Of the body or message, hex. */
  readonly sha256: string;
  readonly round: string | null;
  /** Tabs in the round's cohort: those the task asks for until the round has ended, then those that there were. */
  readonly cohortSize: number | null;
  /** What noise protects it; `null` where it carries nothing of the visitor's. */
  readonly noise: string | null;
  /** Whose: `visitor`, the name that the page gave another session of its own, or `page` for its files. */
  readonly by: string;
}

/** A receipt as it is handed out. */
export interface PrivacyReceipt {
  readonly format: "choir-receipt-1";
  readonly made: string;
  readonly origin: string;
  readonly covers: string;
  readonly totals: { readonly entries: number; readonly bytes: number };
  readonly entries: readonly ReceiptEntry[];
}

/** What an entry says of its round. */
export interface RoundFacts {
  readonly round: string;
  readonly cohortSize: number;
  readonly noise: string;
}

/** What is about to leave. */
export interface Sending {
  readonly kind: SendingKind;
  readonly what: SentWhat;
  readonly method: "GET" | "POST";
  readonly url: string | URL;
  /** Nothing, for a request without a body. */
  readonly body?: Uint8Array;
  readonly round?: RoundFacts;
  readonly masked?: boolean;
}

/** SHA-256 of nothing. */
export const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const COVERS =
  "Every request, upload and socket message that Choir sent from this browser on this site since it was last told to forget, " +
  "noted before it was sent, and the files that the browser loaded for it. Sizes and digests are those of bodies; " +
  "addresses are whole, and the browser adds its usual headers. A file that the browser took from its cache is not listed.";

/** Where a sender notes what it sends. */
export interface Recorder {
  note(sending: Sending): Promise<void>;
  /** The round has ended with so many tabs in its cohort. */
  settle(round: string, cohortSize: number): Promise<void>;
}

/** Notes down in the browser's database, and tells each entry as an event. */
export class ReceiptBook implements Recorder {
  readonly #notes: Promise<Notes | null>;
  readonly #by: string;
  readonly #digest: (bytes: Uint8Array) => string;
  readonly #emit: (event: ChoirEvent) => void;

  constructor(by: string, notes: Promise<Notes | null>, digest: (bytes: Uint8Array) => string, emit: (event: ChoirEvent) => void) {
    this.#by = by;
    this.#notes = notes;
    this.#digest = digest;
    this.#emit = emit;
  }

  async note(sending: Sending): Promise<void> {
    const at = Date.now();
    const entry = entryOf(sending, at, this.#by, this.#digest);
    await noteIfPossible(this.#notes, (notes) => notes.put("receipt", entry));
    const { what, masked = false } = sending;
    this.#emit({ kind: "sent", at, what, bytes: entry.bytes, masked, entry });
  }

  settle(round: string, cohortSize: number): Promise<void> {
    const change = (entry: ReceiptEntry): ReceiptEntry => (entry.by === this.#by ? { ...entry, cohortSize } : entry);
    return noteIfPossible(this.#notes, (notes) => notes.changeRound("receipt", round, change));
  }
}

/** What is noted of a sending. */
export function entryOf(sending: Sending, at: number, by: string, digest: (bytes: Uint8Array) => string): ReceiptEntry {
  const { kind, method, url, body = new Uint8Array(), round = null } = sending;
  const { host, pathname, search } = new URL(url);
  return {
    time: new Date(at).toISOString(),
    kind,
    host,
    request: `${method} ${pathname}${search}`,
    bytes: body.length,
    sha256: body.length === 0 ? EMPTY_SHA256 : digest(body),
    round: round?.round ?? null,
    cohortSize: round?.cohortSize ?? null,
    noise: round?.noise ?? null,
    by,
  };
}

/** Puts entries into the form that is handed out. */
export function asReceipt(entries: readonly ReceiptEntry[], made: Date, origin: string): PrivacyReceipt {
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  const totals = { entries: entries.length, bytes };
  return { format: "choir-receipt-1", made: made.toISOString(), origin, covers: COVERS, totals, entries };
}

/** The receipt that is kept in this browser; `null` where there is none. Nothing is asked of anybody. */
export async function keptReceipt(): Promise<PrivacyReceipt | null> {
  const notes = await Notes.openExisting();
  if (notes === null) return null;
  try {
    const entries = await notes.all<ReceiptEntry & { id: number }>("receipt");
    return asReceipt(
      entries.map(({ id: _, ...entry }) => entry),
      new Date(),
      location.origin,
    );
  } finally {
    notes.close();
  }
}
