// Stops one thing of a tab on its way and lets it go on when told to.

/** What can be held: the upload of the masked update, or the signature over the survivors. */
export const HOLDS = ["upload", "ack"];

export class Gate {
  #point = null;
  #onHeld = () => {};
  #held = null;

  /** The next thing of that kind waits; `onHeld` is called when it is there. */
  holdAt(point, onHeld) {
    if (!HOLDS.includes(point)) throw new Error(`this cannot be held: ${point}`);
    this.#point = point;
    this.#onHeld = onHeld;
  }

  /** Calls `goOn`, at once or when what is held is let go. */
  pass(point, goOn) {
    if (this.#point !== point) return goOn();
    this.#point = null;
    this.#held = goOn;
    this.#onHeld(point);
  }

  release() {
    const held = this.#held;
    this.#point = null;
    this.#held = null;
    held?.();
  }
}
