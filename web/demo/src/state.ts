/** What the page knows, folded from the session's events. Pure: the view and the tests read it. */

import type { ChoirEvent, Evaluation, RefusedLine, RoundReport, StopReason, TaskSummary } from "@choir/sdk";

/** Where the visitor stands. */
export type Stage =
  | "reading"
  | "refused"
  | "asking"
  | "ready"
  | "loading"
  | "training"
  | "waiting"
  | "lobby"
  | "summing"
  | "stopped";

export interface LossPoint {
  readonly version: number;
  readonly step: number;
  readonly loss: number;
}

export interface SentEntry {
  readonly at: number;
  readonly what: string;
  readonly bytes: number;
  readonly masked: boolean;
}

export interface DemoState {
  readonly stage: Stage;
  readonly task: TaskSummary | null;
  readonly problem: string | null;
  readonly device: string | null;
  readonly adapter: string | null;
  readonly engine: string | null;
  readonly engineReason: string | null;
  readonly download: { file: string; loaded: number; total: number | null; cached: boolean } | null;
  /** Kernels that are ready, once the model waits for them. */
  readonly preparing: { ready: number; kernels: number } | null;
  readonly examples: { training: number; heldOut: number; truncated: number; maxLength: number } | null;
  readonly version: number | null;
  readonly step: { step: number; steps: number; milliseconds: number } | null;
  readonly losses: readonly LossPoint[];
  readonly round: string | null;
  readonly phase: string | null;
  readonly lobby: { joined: number; cohortSize: number; minCohort: number } | null;
  readonly connected: boolean;
  readonly note: string | null;
  readonly evaluations: readonly Evaluation[];
  readonly history: readonly RoundReport[];
  readonly sent: readonly SentEntry[];
  readonly refusedLines: readonly RefusedLine[];
  readonly checkpoint: { state: "written" | "resumed" | "refused"; version: number; step: number; steps: number } | null;
  readonly stopped: { reason: StopReason; message: string } | null;
}

export const FIRST_STATE: DemoState = {
  stage: "reading",
  task: null,
  problem: null,
  device: null,
  adapter: null,
  engine: null,
  engineReason: null,
  download: null,
  preparing: null,
  examples: null,
  version: null,
  step: null,
  losses: [],
  round: null,
  phase: null,
  lobby: null,
  connected: true,
  note: null,
  evaluations: [],
  history: [],
  sent: [],
  refusedLines: [],
  checkpoint: null,
  stopped: null,
};

/** The state after one more event. */
export function fold(state: DemoState, event: ChoirEvent): DemoState {
  switch (event.kind) {
    case "task": {
      // A task that follows is another model: what was measured before is not comparable.
      const losses = state.task?.task === event.task ? state.losses : [];
      return { ...state, stage: "loading", task: event, version: event.version, losses };
    }
    case "engine": {
      const { device, adapter, engine, reason } = event;
      return { ...state, device, adapter, engine, engineReason: reason };
    }
    case "download":
      return { ...state, download: event.loaded === event.total ? null : { ...event } };
    case "preparing":
      return { ...state, preparing: { ...event } };
    case "examples":
      return { ...state, preparing: null, examples: event };
    case "evaluated":
      return { ...state, evaluations: [...state.evaluations, event] };
    case "training": {
      // Training anew from the same version (a burned update) starts its curve anew; behind a
      // checkpoint it goes on.
      const losses = state.losses.filter((point) => point.version !== event.version || point.step <= event.from);
      return { ...state, stage: "training", version: event.version, losses, step: null, phase: "train", note: null, lobby: null };
    }
    case "step": {
      const { step, steps, loss, milliseconds } = event;
      const losses = [...state.losses, { version: state.version ?? 0, step, loss }];
      return { ...state, step: { step, steps, milliseconds }, losses };
    }
    case "checkpoint": {
      const { state: found, version, step, steps } = event;
      return { ...state, checkpoint: { state: found, version, step, steps } };
    }
    case "paused":
      return { ...state, stage: "waiting", note: `Paused: ${event.reason}.` };
    case "resumed":
      return { ...state, stage: "training", note: null };
    case "waiting":
      return { ...state, stage: "waiting", note: `Waiting for ${event.reason}.` };
    case "joining":
      return { ...state, stage: "lobby", round: event.round, phase: "enroll", note: null };
    case "lobby": {
      const { joined, cohortSize, minCohort } = event;
      return { ...state, stage: "lobby", lobby: { joined, cohortSize, minCohort } };
    }
    case "phase":
      return { ...state, stage: event.phase === "enroll" ? "lobby" : "summing", phase: event.phase };
    case "sent": {
      const { at, what, bytes, masked } = event;
      return { ...state, sent: [...state.sent, { at, what, bytes, masked }] };
    }
    case "connection":
      return { ...state, connected: event.state === "back" };
    case "retrain":
      return { ...state, note: `Training again: ${event.reason}.`, lobby: null };
    case "round": {
      const history = [...state.history, event];
      return { ...state, history, version: event.version, phase: "closed", lobby: null };
    }
    case "successor":
      return { ...state, note: "The next task follows.", round: null };
    case "observed":
      return state;
    case "stopped":
      return { ...state, stage: "stopped", stopped: { reason: event.reason, message: event.message }, phase: null };
    default:
      return event satisfies never;
  }
}
