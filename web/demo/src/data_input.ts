/** The visitor's examples: typed, pasted, dropped or chosen; read in the tab, nowhere else. */

import type { Example, ParsedExamples, RefusedLine } from "@choir/sdk";
import { parseExamples, parsePassages } from "@choir/sdk";
import { byId, make } from "./dom.ts";

/** Larger files are not labelled messages. */
const MOST_BYTES = 32 * 1024 * 1024;
/** Longer texts are kept, but not put into the text box. */
const MOST_SHOWN = 200_000;
const REFUSED_SHOWN = 200;

/** Watches the input elements and reports what they hold. */
export class DataInput {
  readonly #text = byId("text", HTMLTextAreaElement);
  readonly #report = byId("data-report", HTMLElement);
  readonly #changed: () => void;
  /** The content of a file that is too long for the text box. */
  #file: string | null = null;
  #labels: readonly string[] | null = null;
  #parsed: ParsedExamples = { examples: [], refused: [], notices: [] };

  constructor(changed: () => void) {
    this.#changed = changed;
    this.#text.addEventListener("input", () => {
      this.#file = null;
      this.#parse();
    });
    const file = byId("file", HTMLInputElement);
    file.addEventListener("change", () => void this.#take(file.files?.[0]));
    const drop = byId("drop", HTMLElement);
    drop.addEventListener("dragover", (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      void this.#take(event.dataTransfer?.files[0]);
    });
  }

  get examples(): readonly Example[] {
    return this.#parsed.examples;
  }

  get refused(): readonly RefusedLine[] {
    return this.#parsed.refused;
  }

  /** From now on labels are checked; what was given before is read again. */
  setLabels(labels: readonly string[]): void {
    this.#labels = labels;
    this.#parse();
  }

  /** Puts text in as if it had been typed. */
  setText(text: string): void {
    this.#file = text.length > MOST_SHOWN ? text : null;
    this.#text.value = this.#file === null ? text : `${text.slice(0, 2_000)}\n(the rest of the file is not shown)`;
    this.#parse();
  }

  /** Adds a text behind what is there; yields the number of its passages. */
  add(text: string): number {
    const { length } = parsePassages(text).examples;
    const known = this.#file ?? this.#text.value;
    if (length > 0) this.setText(known.trim() === "" ? text : `${known.trimEnd()}\n\n${text}`);
    return length;
  }

  async #take(file: File | undefined): Promise<void> {
    if (file === undefined) return;
    if (file.size > MOST_BYTES) {
      this.#show([make("p", `${file.name} has more than 32 MiB; it was not read.`, "problem")]);
      return;
    }
    // Bytes that are no UTF-8 become U+FFFD, and such a line is refused by its number.
    this.setText(new TextDecoder().decode(await file.arrayBuffer()));
  }

  #parse(): void {
    const source = this.#file ?? this.#text.value;
    if (this.#labels === null || source.trim() === "") {
      this.#parsed = { examples: [], refused: [], notices: [] };
      this.#show(source.trim() === "" ? [] : [make("p", "Read once you take part, as the labels are known then.", "quiet")]);
    } else {
      // A task without labels learns from plain text.
      this.#parsed = this.#labels.length === 0 ? parsePassages(source) : parseExamples(source, this.#labels);
      this.#show(this.#summary());
    }
    this.#changed();
  }

  #summary(): HTMLElement[] {
    const { examples, refused, notices } = this.#parsed;
    const kinds = new Set(examples.map((example) => example.label)).size;
    const labels = kinds === 1 ? "1 label" : `${kinds} labels`;
    const ready = this.#labels?.length === 0 ? `${examples.length} passages` : `${examples.length} examples with ${labels}`;
    const lines = [make("p", `${ready} are ready.`)];
    for (const notice of notices) lines.push(make("p", notice, "quiet"));
    if (refused.length === 0) return lines;
    const count = refused.length === 1 ? "1 line was" : `${refused.length} lines were`;
    lines.push(make("p", `${count} refused, the rest is kept:`, "problem"));
    const list = make("ul", "", "refused");
    for (const { line, reason } of refused.slice(0, REFUSED_SHOWN)) list.append(make("li", `Line ${line}: ${reason}`));
    if (refused.length > REFUSED_SHOWN) list.append(make("li", `and ${refused.length - REFUSED_SHOWN} more`));
    return [...lines, list];
  }

  #show(children: HTMLElement[]): void {
    this.#report.replaceChildren(...children);
  }
}
