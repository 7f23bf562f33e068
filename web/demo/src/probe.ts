/**
 * `window.choirDemo`: what the page knows, for tests and the curious. Read-only; each read is a
 * fresh copy of plain values.
 */

import type { ChoirEvent } from "@choir/sdk";
import type { DemoState } from "./state.ts";

/** What a reader gets. */
export type Probe = Omit<DemoState, "stage"> & {
  readonly state: DemoState["stage"];
  /** Everything that the session told, in order. */
  readonly events: readonly ChoirEvent[];
};

declare global {
  interface Window {
    readonly choirDemo: Probe;
  }
}

/** Makes the state readable. */
export function exposeProbe(read: () => DemoState, events: readonly ChoirEvent[]): void {
  Object.defineProperty(window, "choirDemo", {
    get: (): Probe => {
      const { stage, ...rest } = read();
      return { ...rest, state: stage, events };
    },
  });
}
