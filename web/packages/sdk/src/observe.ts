/**
 * Shows a test what must never leave the tab: the plain integers of an update, its values and the
 * token ids that it was trained on. The test compares the integers' sum with the published one and
 * looks for all of it in what left. Only a build with `OBSERVE` calls this, and only its protocol
 * module can answer; nothing of it is in what is served to people.
 */

import type { ChoirEvent } from "./events.ts";
import type { ParticipationHandle } from "./modules.ts";
import type { PackedTokens } from "./tokens.ts";

/** What a test may see beside the integers. */
export interface Observable {
  readonly values: Float32Array;
  readonly examples: PackedTokens;
}

/** Tells all of it in base64, every number little-endian. */
export function observe(
  round: string,
  participation: Pick<ParticipationHandle, "plainWords">,
  { values, examples }: Observable,
  emit: (event: ChoirEvent) => void,
): void {
  const words = participation.plainWords?.();
  if (words === undefined) return;
  emit({
    kind: "observed",
    round,
    words: base64(words),
    values: base64(values),
    tokens: base64(examples.tokens),
    starts: base64(examples.starts),
  });
}

function base64(numbers: Uint32Array | Float32Array): string {
  let binary = "";
  for (const byte of new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength)) {
    binary += String.fromCharCode(byte);
  }
  return btoa(binary);
}
