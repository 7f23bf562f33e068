/** One user of the engine at a time: a wasm object must not be entered twice. */
export class Lock {
  #tail: Promise<unknown> = Promise.resolve();

  /** Runs `work` once all that was asked for earlier is done. */
  run<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}
