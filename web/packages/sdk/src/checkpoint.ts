/**
 * A checkpoint of a local training as bytes: which training it is, how far it is, the adapter's
 * values and the optimizer's moments. It holds no example, only a digest of all of them, and it
 * goes on with any engine. Whatever was cut short or changed is no checkpoint.
 */

import type { Example } from "./examples.ts";
import type { HeldOutOptions } from "./held_out.ts";
import type { StreamHash } from "./modules.ts";

/** All that must be the same for a training to go on where another one stopped. */
export interface TrainingKey {
  readonly task: string;
  /** Of the task's configuration. */
  readonly taskDigest: string;
  readonly version: number;
  /** Of the global adapter that training started from. */
  readonly adapter: string;
  /** Of the visitor's examples in their order. */
  readonly examples: string;
  readonly heldOut: HeldOutOptions;
  readonly seed: number;
}

export interface CheckpointHead {
  readonly key: TrainingKey;
  /** Steps taken, of so many. */
  readonly step: number;
  readonly steps: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export interface Checkpoint extends CheckpointHead {
  readonly adapter: Float32Array;
  /** First moments, then second moments. */
  readonly moments: Float32Array;
}

/** SHA-256 of bytes as they come; hex. */
export type NewHash = () => StreamHash;

const MAGIC = "CHOIRCP1";
/** The magic, then the length of the head. */
const PREFIX = 12;
/** SHA-256 of all before it, hex. */
const SEAL = 64;
const LONGEST_HEAD = 16_384;

/** The examples' digest: texts and labels in order. */
export function digestExamples(examples: readonly Example[], newHash: NewHash): string {
  return hexDigest(new TextEncoder().encode(JSON.stringify(examples.map(({ text, label }) => [text, label]))), newHash);
}

/** Names the first thing in which two trainings differ; `null` where it is the same training. */
export function whyAnother(found: TrainingKey, wanted: TrainingKey): string | null {
  if (found.task !== wanted.task || found.taskDigest !== wanted.taskDigest) return "it is of another task";
  if (found.version !== wanted.version) return `it started from version ${found.version}, and version ${wanted.version} is out`;
  if (found.adapter !== wanted.adapter) return "it started from another adapter";
  if (found.examples !== wanted.examples) return "it was trained on other examples";
  const { share, most } = wanted.heldOut;
  if (found.heldOut.share !== share || found.heldOut.most !== most) return "other examples were set aside";
  if (found.seed !== wanted.seed) return "its examples were in another order";
  return null;
}

export function encodeCheckpoint({ key, step, steps, at, adapter, moments }: Checkpoint, newHash: NewHash): Uint8Array {
  const head = new TextEncoder().encode(JSON.stringify({ key, step, steps, at, values: adapter.length }));
  // Padded, so that the numbers lie on a multiple of four.
  const from = alignedEnd(head.length);
  const whole = new Uint8Array(from + 4 * (adapter.length + moments.length) + SEAL);
  whole.set(new TextEncoder().encode(MAGIC));
  new DataView(whole.buffer).setUint32(MAGIC.length, head.length, true);
  whole.set(head, PREFIX);
  const numbers = new Float32Array(whole.buffer, from, adapter.length + moments.length);
  numbers.set(adapter);
  numbers.set(moments, adapter.length);
  const end = whole.length - SEAL;
  whole.set(new TextEncoder().encode(hexDigest(whole.subarray(0, end), newHash)), end);
  return whole;
}

/** The checkpoint in these bytes; `null` where it is none, or not whole. */
export function decodeCheckpoint(bytes: Uint8Array, newHash: NewHash): Checkpoint | null {
  const parsed = parseHead(bytes);
  if (parsed === null) return null;
  const { head, values, from } = parsed;
  const end = from + 4 * 3 * values;
  if (bytes.length !== end + SEAL) return null;
  const seal = new TextDecoder().decode(bytes.subarray(end));
  if (seal !== hexDigest(bytes.subarray(0, end), newHash)) return null;
  const numbers = new Float32Array(bytes.slice(from, end).buffer);
  if (!numbers.every(Number.isFinite)) return null;
  return { ...head, adapter: numbers.slice(0, values), moments: numbers.slice(values) };
}

/** What the head says, without looking at the rest. */
export function peekCheckpoint(bytes: Uint8Array): CheckpointHead | null {
  return parseHead(bytes)?.head ?? null;
}

function parseHead(bytes: Uint8Array): { head: CheckpointHead; values: number; from: number } | null {
  if (bytes.length < PREFIX || new TextDecoder().decode(bytes.subarray(0, MAGIC.length)) !== MAGIC) return null;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(MAGIC.length, true);
  if (length > LONGEST_HEAD || bytes.length < PREFIX + length) return null;
  try {
    const text = new TextDecoder().decode(bytes.subarray(PREFIX, PREFIX + length));
    const { values, ...head } = JSON.parse(text) as CheckpointHead & { values: number };
    const counts = [values, head.step, head.steps];
    if (!counts.every((count) => Number.isSafeInteger(count) && count >= 0)) return null;
    return { head, values, from: alignedEnd(length) };
  } catch {
    return null;
  }
}

function alignedEnd(head: number): number {
  return Math.ceil((PREFIX + head) / 4) * 4;
}

function hexDigest(bytes: Uint8Array, newHash: NewHash): string {
  const hash = newHash();
  hash.update(bytes);
  return hash.finish();
}
