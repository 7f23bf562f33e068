/** The document that trains: the SDK with its thread, where no window is open. */

import type { Choir, ChoirEvent, Example, PauseCause, Session } from "@choir/sdk";
import { asChoirError, createChoir, parsePassages, sentence } from "@choir/sdk";
import { choirOptions } from "./choir_options.ts";
import type { Answer, Order, Progress, Settings } from "./messages.ts";
import { isFor, PROGRESS_PORT } from "./messages.ts";

const IDLE: Progress = { isRunning: false, text: "Not taking part.", problem: null, rounds: [] };

/** This document is never in view. */
const OFFSCREEN_PAUSES: readonly PauseCause[] = ["discharging"];

const ports = new Set<ChromePort>();
let progress = IDLE;
let choir: Choir | null = null;
let session: Session | null = null;

chrome.runtime.onConnect.addListener((port) => {
  if (port.name !== PROGRESS_PORT) return;
  ports.add(port);
  port.onDisconnect.addListener(() => ports.delete(port));
  port.postMessage(progress);
});

chrome.runtime.onMessage.addListener((message, _sender, reply) => {
  if (!isFor<Order>("offscreen", message)) return undefined;
  carryOut(message).then(reply, (thrown: unknown) => reply({ problem: asChoirError(thrown).message }));
  return true;
});

async function carryOut(order: Order): Promise<Answer> {
  switch (order.kind) {
    case "describe": {
      if (session !== null) return { problem: "leave first: a session is running" };
      return { problem: null, task: await open(order.settings).describe() };
    }
    case "join":
      if (session !== null) return { problem: "you are taking part already" };
      session = await open(order.settings).join({ examples: learned(order.examples), pauseWhile: OFFSCREEN_PAUSES });
      void follow(session);
      return { problem: null, task: null };
    case "leave":
      session?.leave();
      return { problem: null, task: null };
    case "forget":
      await forget();
      return { problem: null, task: null };
    default:
      return order satisfies never;
  }
}

/** A choir is joined once, so each attempt has its own. */
function open(settings: Settings): Choir {
  choir?.close();
  choir = createChoir(choirOptions(settings));
  return choir;
}

/** Plain text is learned passage by passage. */
function learned(examples: readonly Example[]): Example[] {
  return examples.flatMap((example) => (example.label === "" ? parsePassages(example.text).examples : [example]));
}

async function follow(running: Session): Promise<void> {
  tell({ ...IDLE, isRunning: true, text: "Starting." });
  for await (const event of running) tell(after(progress, event));
  if (session === running) session = null;
  tell({ ...progress, isRunning: false });
}

function after(shown: Progress, event: ChoirEvent): Progress {
  const text = sentence(event);
  if (text === null) return shown;
  const rounds = event.kind === "round" ? [...shown.rounds, text] : shown.rounds;
  const problem = event.kind === "stopped" && event.code !== null ? event.message : shown.problem;
  return { ...shown, text, rounds, problem };
}

function tell(next: Progress): void {
  progress = next;
  for (const port of ports) port.postMessage(progress);
}

/** What the SDK keeps: model, checkpoints, receipt, counts. The storage is the service worker's. */
async function forget(): Promise<void> {
  await (choir ?? createChoir()).forget();
  choir = null;
  session = null;
  tell(IDLE);
}
