/** Holds the local steps while something speaks against training; between two steps, never within one. */
export class Gate {
  #reason: string | null = null;
  #waiting: (() => void)[] = [];

  /** Why nothing passes; `null` where everything does. */
  get reason(): string | null {
    return this.#reason;
  }

  /** Closes it for a reason, or opens it by `null`. */
  set(reason: string | null): void {
    this.#reason = reason;
    if (reason !== null) return;
    for (const pass of this.#waiting.splice(0)) pass();
  }

  /** Resolves once it is open. */
  async passed(): Promise<void> {
    while (this.#reason !== null) await new Promise<void>((pass) => this.#waiting.push(pass));
  }
}
