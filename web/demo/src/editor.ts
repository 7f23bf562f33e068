/**
 * A text box with a suggestion behind the caret. The box itself holds only what the visitor wrote; the
 * suggestion is drawn by a copy that lies over it and that nobody can click, select or hear.
 */

import { byId, setText } from "./dom.ts";
import type { Source } from "./ghost.ts";
import { Ghost } from "./ghost.ts";

export class Editor {
  readonly ghost: Ghost;
  readonly #box = byId("editor", HTMLTextAreaElement);
  readonly #before = byId("editor-before", HTMLElement);
  readonly #shown = byId("ghost", HTMLElement);
  readonly #after = byId("editor-after", HTMLElement);
  readonly #frame = byId("editor-frame", HTMLElement);
  readonly #spoken = byId("ghost-spoken", HTMLElement);
  /** Where the caret was when the visitor typed last; `null` where nothing is to be suggested. */
  #caret: number | null = null;
  /** An input is the visitor's own word for a suggestion, not typing. */
  #isTaking = false;

  /** `changed` is told of every change of the text and of what is suggested. */
  constructor(source: Source, changed: () => void) {
    this.ghost = new Ghost(source, () => {
      this.#draw();
      changed();
    });
    this.#box.addEventListener("input", (event) => this.#typed((event as InputEvent).isComposing));
    this.#box.addEventListener("compositionend", () => this.#typed(false));
    this.#box.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("selectionchange", () => this.#moved());
  }

  /** Everything that was written. */
  get text(): string {
    return this.#box.value;
  }

  /** What was written up to the caret. */
  get before(): string {
    return this.#box.value.slice(0, this.#box.selectionStart);
  }

  /** Suggests anew for the text as it is, without a pause. */
  again(): void {
    if (this.before.trim() === "") return;
    this.#caret = this.#box.selectionStart;
    this.ghost.ask(this.before);
  }

  clear(): void {
    this.#box.value = "";
    this.#caret = null;
    this.ghost.dismiss();
  }

  #typed(isComposing: boolean): void {
    if (this.#isTaking) return;
    const { selectionStart, selectionEnd } = this.#box;
    this.#caret = selectionStart;
    // A character that is still being composed is not a text to go on with.
    if (isComposing || selectionStart !== selectionEnd) this.ghost.dismiss();
    else this.ghost.typed(this.before);
  }

  /** A caret that was moved away is no place for a suggestion. */
  #moved(): void {
    if (this.#isTaking || this.#caret === null || document.activeElement !== this.#box) return;
    const { selectionStart, selectionEnd } = this.#box;
    if (selectionStart === this.#caret && selectionEnd === this.#caret) return;
    this.#caret = null;
    this.ghost.dismiss();
  }

  #key(event: KeyboardEvent): void {
    if (event.isComposing) return;
    const action = this.#actionOf(event);
    if (action === null) return;
    event.preventDefault();
    action();
  }

  /** What a key does beside what it always does; Tab and the arrow are taken only where something is shown. */
  #actionOf({ key, shiftKey, ctrlKey, altKey, metaKey }: KeyboardEvent): (() => void) | null {
    if (shiftKey || metaKey) return null;
    if (key === " " && ctrlKey) return () => this.again();
    if (key === "Escape" && (this.ghost.isBusy || this.ghost.text !== "")) return () => this.ghost.dismiss();
    if (this.ghost.text === "") return null;
    const isPlain = !ctrlKey && !altKey;
    if (key === "Tab" && isPlain) return () => this.#takeAll();
    const isAtEnd = this.#box.selectionStart === this.#box.value.length;
    if (key === "ArrowRight" && (ctrlKey || (isPlain && isAtEnd))) return () => this.#takeWord();
    return null;
  }

  #takeAll(): void {
    this.#insert(this.ghost.takeAll());
    // As after typing: the next suggestion may follow.
    this.#typed(false);
  }

  #takeWord(): void {
    const word = this.ghost.takeWord();
    this.#insert(word);
    if (this.ghost.text === "" && !this.ghost.isBusy) this.#typed(false);
    else this.#draw();
  }

  #insert(text: string): void {
    this.#isTaking = true;
    this.#box.focus();
    // The only way by which the browser's own undo takes it back.
    if (!document.execCommand("insertText", false, text)) {
      const { selectionStart, selectionEnd } = this.#box;
      this.#box.setRangeText(text, selectionStart, selectionEnd, "end");
    }
    // The browser tells of the moved caret later, when this is where it is expected.
    this.#caret = this.#box.selectionStart;
    this.#isTaking = false;
  }

  #draw(): void {
    const { text, isBusy } = this.ghost;
    const at = this.#caret ?? this.#box.selectionStart;
    const after = this.#box.value.slice(at);
    setText(this.#before, this.#box.value.slice(0, at));
    setText(this.#shown, text);
    // A last line that is empty has no height by itself.
    setText(this.#after, `${after}\u200B`);
    this.#frame.classList.toggle("displaced", text !== "" && after !== "");
    this.#frame.classList.toggle("busy", isBusy);
    if (!isBusy) setText(this.#spoken, text === "" ? "" : `Suggestion: ${text.trim()}. Tab takes it, Escape drops it.`);
  }
}
