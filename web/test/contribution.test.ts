/** A client's way through a round, on a scripted socket and a scripted protocol. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Aggregator } from "../packages/sdk/src/aggregator.ts";
import { contribute } from "../packages/sdk/src/contribution.ts";
import type { ChoirEvent } from "../packages/sdk/src/events.ts";
import type { Effect, ParticipationHandle } from "../packages/sdk/src/modules.ts";
import type { Sending } from "../packages/sdk/src/receipt.ts";

const OPEN = 1;
Object.assign(globalThis, { WebSocket: { OPEN } });

/** Opens by itself; the test says what comes in. */
class ScriptedSocket {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  readonly sent: Uint8Array[] = [];

  constructor(opens: boolean, then: (socket: ScriptedSocket) => void) {
    setTimeout(() => {
      if (!opens) return this.onclose?.();
      this.readyState = OPEN;
      this.onopen?.();
      then(this);
    });
  }

  hear(text: string): void {
    this.onmessage?.({ data: new TextEncoder().encode(text).buffer });
  }

  send(bytes: Uint8Array): void {
    this.sent.push(bytes);
  }

  close(): void {}
}

const bytes = (text: string) => new TextEncoder().encode(text);
const receipt = { version: 1, clients: 3, survivors: 3, sumDigest: "d" };

/** Notes what it was told and answers by what is heard. */
class ScriptedParticipation implements ParticipationHandle {
  readonly told: string[] = [];

  constructor(readonly answers: Record<string, Effect[]>) {}

  start = () => this.#answer("start");
  message = (heard: Uint8Array) => this.#answer(new TextDecoder().decode(heard));
  uploaded = (status: number) => this.#answer(`uploaded ${status}`);
  disconnected = () => this.#answer("disconnected");
  reconnected = () => this.#answer("reconnected");
  free = () => void this.told.push("free");

  #answer(told: string): Effect[] {
    this.told.push(told);
    return this.answers[told] ?? [];
  }
}

function drive(
  participation: ScriptedParticipation,
  sockets: ((socket: ScriptedSocket) => void)[],
  { opens = true, signal = new AbortController().signal } = {},
) {
  const events: ChoirEvent[] = [];
  const order: string[] = [];
  const noted: Sending[] = [];
  const note = async (sending: Sending) => {
    noted.push(sending);
    order.push(`noted ${sending.what}`);
  };
  const socket = (script: (socket: ScriptedSocket) => void) => {
    const made = new ScriptedSocket(opens, script);
    made.sent.push = (...bytes) => order.push(`sent ${bytes.map((one) => new TextDecoder().decode(one)).join()}`);
    return made;
  };
  const aggregator = {
    meter: { up: 0, down: 0 },
    recorder: { note, settle: async () => undefined },
    socketUrl: () => new URL("ws://edge.example/socket"),
    socket: async () => socket(sockets.shift() ?? (() => undefined)),
    upload: async () => {
      order.push("uploaded");
      return { status: 200, body: new Uint8Array() };
    },
  } as unknown as Aggregator;
  const emit = (event: ChoirEvent) => void events.push(event);
  const round = { round: "r", cohortSize: 3, noise: "none" };
  const beforeUpload = async () => void order.push("before upload");
  const context = { aggregator, task: "t", round, version: 0, participation, msPerStep: 3, signal, emit, beforeUpload };
  return contribute(context).then((outcome) => ({ outcome, events, noted, order, meter: aggregator.meter }));
}

test("effects are carried out in order, and messages wait for the upload's answer", async () => {
  const participation = new ScriptedParticipation({
    start: [{ kind: "send", bytes: bytes("JOIN") }],
    deliver: [{ kind: "upload", bytes: bytes("masked") }],
    survivors: [{ kind: "finished", receipt }],
  });
  const { outcome, noted, order, meter } = await drive(participation, [
    (socket) => {
      socket.hear("deliver");
      socket.hear("survivors");
    },
  ]);
  assert.deepEqual(participation.told, ["start", "deliver", "uploaded 200", "survivors", "free"]);
  assert.equal(outcome.outcome, "published");
  assert.equal(meter.up, 4);
  assert.deepEqual(order, ["noted join", "sent JOIN", "before upload", "uploaded"]);
  assert.deepEqual(noted[0]?.round, { round: "r", cohortSize: 3, noise: "none" });
});

test("a lost socket is opened again and the client is told", async () => {
  const participation = new ScriptedParticipation({ done: [{ kind: "finished", receipt }] });
  const { outcome } = await drive(participation, [(socket) => socket.onclose?.(), (socket) => socket.hear("done")]);
  assert.deepEqual(participation.told, ["start", "disconnected", "reconnected", "done", "free"]);
  assert.equal(outcome.outcome, "published");
});

test("a round that cannot be reached leaves the update for another", async () => {
  const { outcome } = await drive(new ScriptedParticipation({}), [], { opens: false });
  assert.equal(outcome.outcome, "again");
});

test("an update that was masked and sent never joins again", async () => {
  const left: Effect = { kind: "left", reason: "full", next: "again" };
  const before = await drive(new ScriptedParticipation({ start: [left] }), []);
  assert.equal(before.outcome.outcome, "again");
  const after = await drive(
    new ScriptedParticipation({ start: [{ kind: "upload", bytes: bytes("masked") }], "uploaded 200": [left] }),
    [],
  );
  assert.equal(after.outcome.outcome, "retrain");
});

test("a visitor who leaves is out at once", async () => {
  const abort = new AbortController();
  const { outcome } = await drive(new ScriptedParticipation({}), [() => abort.abort()], { signal: abort.signal });
  assert.deepEqual(outcome, { outcome: "left", by: "visitor", reason: "the visitor left", uploaded: false });
});
