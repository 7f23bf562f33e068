/** Sets a part of a visitor's own examples aside, never trained on, to measure on. */

import type { Example } from "./examples.ts";

/** How much is set aside. */
export interface HeldOutOptions {
  /** A fraction of the examples; 0 sets nothing aside. */
  readonly share: number;
  /** Never more than this many, so that measuring stays short. */
  readonly most: number;
}

/** A tenth, at most 64 texts. */
export const DEFAULT_HELD_OUT: HeldOutOptions = Object.freeze({ share: 0.1, most: 64 });

/** Splits by a seeded shuffle; fewer than ten examples are all trained on. */
export function splitHeldOut(
  examples: readonly Example[],
  { share, most }: HeldOutOptions,
  seed: number,
): { training: Example[]; heldOut: Example[] } {
  const count = examples.length < 10 ? 0 : Math.min(most, Math.floor(examples.length * share));
  const shuffled = shuffle(examples, seed);
  return { training: shuffled.slice(count), heldOut: shuffled.slice(0, count) };
}

/** Fisher and Yates, driven by xorshift32: the same order for the same seed. */
export function shuffle<T>(items: readonly T[], seed: number): T[] {
  const result = [...items];
  let state = (seed | 0) || 0x9e3779b9;
  for (let last = result.length - 1; last > 0; last -= 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const other = (state >>> 0) % (last + 1);
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}
