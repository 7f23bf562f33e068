// The operator's messages, field by field in the order of the wire.
import { createHash, generateKeyPairSync } from "node:crypto";
import { Reader, Writer } from "./postcard.mjs";

// Small enough to be checked by hand: 59 values, 60 coordinates.
export const SMALL_TASK = {
  name: "small",
  weights: new Uint8Array(32).fill(1),
  weightsBytes: 90_868_376,
  tokenizer: new Uint8Array(32).fill(2),
  shape: { dim: 8, layers: 1, heads: 2, intermediate: 16, vocabulary: 100, positions: 32, normEps: 1e-12 },
  labels: ["card lost", "card arrival", "balance"],
  maxLength: 16,
  lora: { rank: 2, alpha: 4, targets: [0] },
  cohortSize: 4,
  minCohort: 3,
  deadlineMs: 2000,
};
// LoRA on q: A [8, 2] and B [2, 8]; head: weight [8, 3] and bias [3].
export const SMALL_TASK_VALUES = 8 * 2 + 2 * 8 + 8 * 3 + 3;

function writeConfig(to, task) {
  const { shape } = task;
  to.str(task.name).raw(task.weights).varint(task.weightsBytes).raw(task.tokenizer);
  to.varint(shape.dim).varint(shape.layers).varint(shape.heads).varint(shape.intermediate);
  to.varint(shape.vocabulary).varint(shape.positions).f32(shape.normEps);
  to.seq(task.labels, (label, text) => label.str(text)).varint(task.maxLength);
  to.varint(0); // payload: adapter
  to.option(task.lora, (lora, { rank, alpha, targets }) =>
    lora.varint(rank).f32(alpha).seq(targets, (target, place) => target.varint(place)),
  );
  to.option(null).bool(true); // no soft prompt, a head
  to.option(null); // no frozen head
  to.f32(1e-3).f32(0.9).f32(0.999).f32(1e-8).f32(0.01).varint(8).varint(4); // training
  to.varint(65_535).f32(0.5).varint(512); // quantiser
  to.f32(0).f32(0).varint(0); // differential privacy
  to.varint(task.cohortSize).varint(task.minCohort).varint(0).varint(200); // cohort
  for (let phase = 0; phase < 5; phase++) to.varint(task.deadlineMs);
  to.raw(new Uint8Array(32).fill(3)); // seed
  to.bool(false); // no rotation
  if (task.helper) to.varint(1).str(task.helper.url).raw(task.helper.key);
  else to.varint(0);
  to.option(null); // no attestation
}

function configBytes(task) {
  const message = new Writer();
  writeConfig(message, task);
  return message.message().subarray(1);
}

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

function freshKey(kind) {
  const { publicKey } = generateKeyPairSync(kind);
  return Buffer.from(publicKey.export({ format: "jwk" }).x, "base64url");
}

// JOIN with fresh keys: all that a client says before it has anything to hide.
export function join({ round, version = 0, config = SMALL_TASK, adapter }) {
  const versionBytes = Buffer.alloc(4);
  versionBytes.writeUInt32LE(version);
  const modelDigest = sha256("choir/model", sha256(configBytes(config)), versionBytes, adapter);
  const message = new Writer().varint(0).raw(round).varint(version);
  for (const kind of ["ed25519", "x25519", "x25519"]) message.raw(freshKey(kind));
  return message.raw(modelDigest).varint(0).message(); // no token
}

export const leave = (round) => new Writer().varint(5).raw(round).message();

// UPLOAD with words of the caller's choice and no valid signature.
export const upload = ({ round, index = 0, words }) =>
  new Writer().raw(round).varint(index).raw(new Uint8Array(64)).varint(words.length).raw(words).message();

export function createTask({ taskId, config = SMALL_TASK, adapter, rounds }) {
  const message = new Writer().raw(taskId);
  writeConfig(message, config);
  return message.raw(adapter).varint(rounds).message();
}

export const successorRequest = (task) => new Writer().raw(task).message();
export const siteStatus = (task) => new Writer().option(task, (to, id) => to.raw(id)).message();

export function readSiteStatus(bytes) {
  const from = new Reader(bytes);
  const task = from.option((message) => message.raw(16));
  from.end();
  return task;
}

// Skips the settings by comparing them with what was sent.
export function readTaskStatus(bytes, config = SMALL_TASK) {
  const expected = configBytes(config);
  const from = new Reader(bytes);
  const configMatches = Buffer.compare(from.raw(expected.length), expected) === 0;
  const status = {
    configMatches,
    version: from.varint(),
    adapter: from.raw(32),
    round: from.option((message) => message.raw(16)),
    state: ["running", "stopped"][from.varint()],
    roundsLeft: from.varint(),
    successor: from.option((message) => message.raw(16)),
    history: from.seq((message) => ({
      round: message.raw(16),
      versionBefore: message.varint(),
      clients: message.varint(),
      survivors: message.varint(),
      dropped: message.varint(),
      sum: message.raw(32),
      adapter: message.raw(32),
      closedAt: message.varint(),
      bytesUp: message.varint(),
      bytesDown: message.varint(),
    })),
  };
  from.end();
  return status;
}

export function readRoundStatus(bytes) {
  const from = new Reader(bytes);
  const phases = ["enroll", "share_keys", "collect", "confirm", "unmask", "closed", "aborted"];
  const status = {
    round: from.raw(16),
    task: from.raw(16),
    version: from.varint(),
    phase: phases[from.varint()],
    joined: from.varint(),
    cohortSize: from.varint(),
    minCohort: from.varint(),
    connected: from.varint(),
    shared: from.varint(),
    survivors: from.varint(),
    acknowledged: from.varint(),
    opened: from.varint(),
    deadline: from.option((message) => message.varint()),
    abortReason: from.option((message) => message.varint()),
  };
  from.end();
  return status;
}

// What the aggregator says, as far as these tests hear it. Refusals are variant 7: code, version.
export function readAggregatorMessage(bytes) {
  const from = new Reader(bytes);
  const variant = from.varint();
  if (variant === 0) return { kind: "lobby", joined: from.varint() };
  if (variant === 1) return { kind: "roster" };
  if (variant === 6) return { kind: "aborted", reason: from.varint() };
  if (variant === 7) return { kind: "refused", code: REJECT_CODES[from.varint()] };
  return { kind: `variant ${variant}` };
}

// In the order of the wire.
const REJECT_CODES = [
  "too_large", "truncated", "trailing_bytes", "wire_version", "malformed", "wrong_round", "wrong_phase",
  "duplicate", "late", "wrong_length", "unknown_client", "stale_version", "bad_signature", "bad_key",
  "wrong_model", "wrong_neighbours", "bad_share", "full", "replay", "round_aborted", "task_stopped",
  "bad_token",
];
