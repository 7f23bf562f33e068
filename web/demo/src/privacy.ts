/** The privacy card: the receipt as a table and as a file, and the ledger of rounds. */

import type { Choir, ReceiptEntry, TaskLedger } from "@choir/sdk";
import { byId, make } from "./dom.ts";

/** The table shows the newest entries; the file has all. */
const ROWS = 60;
const REFRESH_MS = 500;

const WORDS: Record<ReceiptEntry["kind"], string> = {
  request: "Asked for",
  "socket open": "Opened the connection of a round",
  "socket message": "Keys, sealed shares or a signature",
  upload: "Your masked update",
  file: "File of the page",
};

export class PrivacyCard {
  readonly #choir: () => Choir;
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** Shows what was kept before; that asks nobody. */
  constructor(choir: () => Choir) {
    this.#choir = choir;
    byId("download-receipt", HTMLButtonElement).addEventListener("click", () => void this.#download());
    void this.refresh();
  }

  /** Shows it anew soon, however often this is called. */
  changed(): void {
    this.#timer ??= setTimeout(() => void this.refresh(), REFRESH_MS);
  }

  async refresh(): Promise<void> {
    this.#timer = null;
    const [{ entries }, ledger] = await Promise.all([this.#choir().receipt(), this.#choir().ledger()]);
    byId("download-receipt", HTMLButtonElement).disabled = entries.length === 0;
    const newest = entries.slice(-ROWS).reverse();
    fill(byId("receipt", HTMLTableElement), newest.map(receiptRow));
    fill(byId("ledger", HTMLTableElement), ledger.map(ledgerRow));
    byId("ledger-line", HTMLElement).hidden = ledger.length > 0;
  }

  async #download(): Promise<void> {
    const receipt = await this.#choir().receipt();
    const file = new Blob([JSON.stringify(receipt, null, 2)], { type: "application/json" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = `choir-receipt-${receipt.made.replaceAll(":", "-")}.json`;
    link.click();
    // Once the browser has begun to save it.
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}

function receiptRow({ time, kind, request, bytes, sha256, round, cohortSize, by }: ReceiptEntry): HTMLElement {
  const path = request.slice(request.indexOf(" ") + 1);
  const what = kind === "request" || kind === "file" ? `${WORDS[kind]} ${shortened(path)}` : WORDS[kind];
  const digest = make("td", bytes === 0 ? "–" : sha256.slice(0, 12), "digest");
  if (bytes > 0) digest.title = sha256;
  return row(
    make("td", new Date(time).toLocaleTimeString()),
    make("td", by === "visitor" || by === "page" ? what : `${what} (${by})`),
    make("td", bytes.toLocaleString("en")),
    digest,
    make("td", round === null ? "–" : round.slice(0, 8), "digest"),
    make("td", cohortSize === null ? "–" : String(cohortSize)),
  );
}

function ledgerRow({ name, participations, statement }: TaskLedger): HTMLElement {
  const last = participations[participations.length - 1];
  const cohorts = [...new Set(participations.map((entry) => entry.cohortSize))].sort((one, other) => one - other);
  return row(
    make("td", name),
    make("td", String(participations.length)),
    make("td", last === undefined ? "–" : new Date(last.time).toLocaleString()),
    make("td", cohorts.join(", ")),
    make("td", statement),
  );
}

function row(...cells: HTMLElement[]): HTMLElement {
  const element = make("tr");
  element.append(...cells);
  return element;
}

function fill(table: HTMLTableElement, rows: HTMLElement[]): void {
  table.hidden = rows.length === 0;
  table.tBodies[0]?.replaceChildren(...rows);
}

/** Ids and digests of 32 and more letters by their first ones. */
function shortened(path: string): string {
  return path.replaceAll(/[0-9a-f]{32,}/g, (id) => `${id.slice(0, 8)}…`);
}
