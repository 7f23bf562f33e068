/**
 * The calls of a [`Trainer`], as one map type: the message to the training thread, its reply and
 * the page's method all derive from it, so a call and its payload cannot disagree.
 */

import type { ChoirErrorCode } from "./errors.ts";
import type { ChoirEvent, EngineKind, EngineReport, EngineWish, Evaluation, RoundReport, TaskSummary } from "./events.ts";
import type { Example } from "./examples.ts";
import type { ModuleTable } from "./files.ts";
import type { HeldOutOptions } from "./held_out.ts";
import type { SamplingSettings, TaskStatus } from "./modules.ts";
import type { Policy } from "./policy.ts";
import type { SuggestionEnd } from "./suggestion_end.ts";

/** Where things are. */
export interface Origin {
  /** The edge aggregator's address. */
  readonly aggregator: string;
  /** Where the wasm modules are, and what their files must contain. */
  readonly modules: ModuleTable;
}

/** What a session leaves in this browser. */
export interface Keeping {
  /** The name under which the receipt lists what it sends. */
  readonly by: string;
  /** Whether it writes checkpoints and the ledger; the receipt is always written. */
  readonly records: boolean;
}

export interface OpenArgs {
  readonly task: string;
  readonly engine: EngineWish;
  readonly policy: Policy;
  readonly examples: readonly Example[];
  readonly heldOut: HeldOutOptions;
  /** Orders the examples; where the page gives none, a checkpoint's or a random one. */
  readonly seed: number | null;
  /** Whether the examples are kept beside a checkpoint. */
  readonly keepExamples: boolean;
  /** Most bytes of GPU memory that training may take. */
  readonly maxGpuBytes: number | null;
  /** Most threads that engine cpu trains in; `null` for the SDK's own choice. */
  readonly cpuThreads: number | null;
}

/** What a sibling of the training thread is opened with. */
export interface SiblingArgs {
  readonly origin: Origin;
  /** As in [`Keeping`]. */
  readonly by: string;
  readonly status: TaskStatus;
}

/** What some examples say of an adapter: the mean over them. */
export interface Gradient {
  readonly loss: number;
  readonly gradient: Float32Array;
}

export interface PredictArgs {
  readonly task: string;
  readonly engine: EngineWish;
  readonly texts: readonly string[];
}

/** By what a text is gone on with: the base model alone, the newest global adapter, or one that this tab trained. */
export type AdapterChoice = "base" | "global" | "own";

/** What goes on with texts. */
export interface WriterReport {
  readonly engine: EngineReport;
  /** Of the global adapter. */
  readonly version: number;
  /** Tokens that the model sees at once. */
  readonly room: number;
}

export interface StartTextArgs {
  /** The visitor's text up to the caret. */
  readonly text: string;
  readonly adapter: AdapterChoice;
  readonly sampling: SamplingSettings;
  /** Tokens that may follow. */
  readonly most: number;
  /** What ends it before that. */
  readonly end: SuggestionEnd;
}

/** How far a text has come. */
export interface Continued {
  /** What follows on the visitor's text, as far as it has come. */
  readonly text: string;
  /** Nothing will be added. */
  readonly finished: boolean;
  readonly tokens: number;
  /** Until the first token, the reading of the text included. */
  readonly firstMs: number;
  /** All the others together. */
  readonly nextMs: number;
  /** Tokens of the visitor's text that need not be read again. */
  readonly reused: number;
  /** Of the global adapter. */
  readonly version: number;
}

export type TrainReport =
  | { readonly outcome: "trained"; readonly version: number; readonly msPerStep: number | null }
  | { readonly outcome: "finished"; readonly successor: string | null };

export type Contribution =
  | { readonly outcome: "published"; readonly report: RoundReport }
  | { readonly outcome: "retrain"; readonly reason: string }
  | {
      readonly outcome: "left";
      readonly by: "visitor" | "round";
      readonly reason: string;
      readonly uploaded: boolean;
    };

/** One text's most likely labels, best first. */
export interface Classification {
  readonly text: string;
  readonly version: number;
  readonly labels: readonly { readonly label: string; readonly probability: number }[];
}

export type Calls = {
  describe: { args: { readonly origin: Origin; readonly task: string | null; readonly keeping: Keeping }; result: TaskSummary | null };
  open: { args: OpenArgs; result: EngineReport };
  train: { args: Record<never, never>; result: TrainReport };
  contribute: { args: Record<never, never>; result: Contribution };
  evaluate: { args: Record<never, never>; result: Evaluation | null };
  classify: { args: { readonly texts: readonly string[] }; result: readonly Classification[] };
  predict: { args: PredictArgs; result: readonly Classification[] };
  /** Loads a language task's model and its newest global adapter, to go on with texts by it. */
  openWriter: { args: { readonly task: string; readonly engine: EngineWish }; result: WriterReport };
  /** Hands over an adapter that another thread of this tab has trained. */
  giveOwn: { args: { readonly values: Float32Array | null }; result: null };
  startText: { args: StartTextArgs; result: null };
  /** Goes on with the text that was started, for a moment. */
  continueText: { args: Record<never, never>; result: Continued };
  /** What this tab's last finished training made, before anything was summed. */
  trainedAdapter: { args: Record<never, never>; result: Float32Array | null };
  /** Holds the local steps for a reason, or lets them go on by `null`. */
  hold: { args: { readonly reason: string | null }; result: null };
  useEngine: { args: { readonly engine: EngineKind }; result: null };
  leave: { args: Record<never, never>; result: null };
  /** To a sibling of the training thread: loads the task's model on engine cpu, from this browser's cache. */
  openSibling: { args: SiblingArgs; result: null };
  /** To a sibling: of these examples, by this adapter. */
  gradient: {
    args: Record<"tokens" | "starts" | "labels", Uint32Array> & { readonly adapter: Float32Array };
    result: Gradient;
  };
};

export type CallName = keyof Calls;
export type Args<N extends CallName> = Calls[N]["args"];
export type Result<N extends CallName> = Calls[N]["result"];

/** From the page to the training thread. */
export type Request = {
  [N in CallName]: { readonly id: number; readonly call: N; readonly args: Args<N> };
}[CallName];

/** From the training thread to the page. */
export type Message =
  | { readonly kind: "result"; readonly id: number; readonly result: Result<CallName> }
  | { readonly kind: "error"; readonly id: number; readonly code: ChoirErrorCode; readonly message: string }
  | { readonly kind: "event"; readonly event: ChoirEvent };
