/** Everything that a session tells its page, as one union to switch on. */

import type { ChoirErrorCode } from "./errors.ts";
import type { Helper, MemoryPlan } from "./modules.ts";
import type { ReceiptEntry } from "./receipt.ts";

/** The engines that a page can ask for. */
export type EngineKind = "webgpu" | "cpu" | "burn";
/** What a page asks for; `auto` measures and takes the faster. */
export type EngineWish = EngineKind | "auto";

/** What training runs on. */
export interface EngineReport {
  readonly engine: EngineKind;
  /** `"webgpu"` or `"cpu"`. */
  readonly device: string;
  /** The adapter's own name. */
  readonly adapter: string;
  /** Why it is not the engine that was asked for, or how it was chosen. */
  readonly reason: string | null;
  /** What a step on the longest batch of the task takes of its memory; `null` where that is not counted. */
  readonly memory: MemoryPlan | null;
}

/** What a sending is for. */
export type SentWhat = "join" | "protocol message" | "masked update" | "request";

/** Counted and measured in one round of one tab. */
export interface RoundReport {
  readonly round: string;
  /** The version that the round made. */
  readonly version: number;
  readonly clients: number;
  readonly survivors: number;
  /** SHA-256 of the published sum, hex. */
  readonly sumDigest: string;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Median wall time of this round's steps; `null` where nothing was trained by steps. */
  readonly msPerStep: number | null;
}

/** How the current model does on the tenth of the visitor's examples that is never trained on. */
export interface Evaluation {
  readonly version: number;
  /** `null` where nothing is classified. */
  readonly accuracy: number | null;
  readonly loss: number;
  readonly examples: number;
}

/** Why a session ended. */
export type StopReason =
  | "task-finished"
  | "rounds-done"
  | "uploads-used"
  | "left"
  | "not-finite"
  | "cannot-join"
  | "failed";

/** What a page shows of a task before anything is trained. */
export interface TaskSummary {
  readonly task: string;
  readonly name: string;
  readonly payload: "adapter" | "centroids" | "language";
  readonly labels: readonly string[];
  readonly maxLength: number;
  readonly version: number;
  readonly roundsLeft: number;
  readonly running: boolean;
  readonly cohortSize: number;
  readonly minCohort: number;
  readonly localSteps: number;
  readonly weightsBytes: number;
  /** The second aggregator, where the task has one: `trustInWords` says what that means. */
  readonly helper: Helper | null;
}

export type ChoirEvent =
  | ({ readonly kind: "task" } & TaskSummary)
  | ({ readonly kind: "engine" } & EngineReport)
  | {
      readonly kind: "download";
      readonly file: "model" | "tokenizer" | "adapter" | "head";
      readonly loaded: number;
      readonly total: number | null;
      /** True where the bytes come from this browser's own cache. */
      readonly cached: boolean;
    }
  /** The model is there before the engine's kernels are: so many of them are ready. */
  | { readonly kind: "preparing"; readonly ready: number; readonly kernels: number }
  | {
      readonly kind: "examples";
      readonly training: number;
      readonly heldOut: number;
      /** Texts that were longer than the model's maximum and were cut. */
      readonly truncated: number;
      readonly maxLength: number;
    }
  | ({ readonly kind: "evaluated" } & Evaluation)
  | {
      readonly kind: "training";
      readonly version: number;
      readonly steps: number;
      /** Steps that a checkpoint has taken already. */
      readonly from: number;
    }
  | {
      /** `refused`: something of the training that it is of has changed, see `reason`; it is deleted. */
      readonly kind: "checkpoint";
      readonly state: "written" | "resumed" | "refused";
      readonly version: number;
      readonly step: number;
      readonly steps: number;
      readonly reason: string | null;
    }
  | {
      readonly kind: "step";
      readonly step: number;
      readonly steps: number;
      readonly loss: number;
      readonly milliseconds: number;
      /** That took it: more than one where siblings of the training thread took part. */
      readonly threads: number;
    }
  /** No step is taken until `resumed`; a checkpoint is written first, where any are. */
  | { readonly kind: "paused"; readonly reason: string; readonly step: number; readonly steps: number }
  | { readonly kind: "resumed"; readonly step: number; readonly steps: number }
  | { readonly kind: "waiting"; readonly reason: string }
  | { readonly kind: "joining"; readonly round: string; readonly version: number }
  | {
      readonly kind: "lobby";
      readonly joined: number;
      readonly cohortSize: number;
      readonly minCohort: number;
    }
  | { readonly kind: "phase"; readonly phase: string }
  | {
      readonly kind: "sent";
      /** Milliseconds since 1970. */
      readonly at: number;
      readonly what: SentWhat;
      readonly bytes: number;
      readonly masked: boolean;
      /** As the receipt has it. */
      readonly entry: ReceiptEntry;
    }
  | { readonly kind: "connection"; readonly state: "lost" | "back" }
  | { readonly kind: "retrain"; readonly reason: string }
  | ({ readonly kind: "round" } & RoundReport)
  | { readonly kind: "successor"; readonly task: string }
  | {
      /** Only from a build that a test may observe; numbers in base64. */
      readonly kind: "observed";
      readonly round: string;
      readonly words: string;
      readonly values: string;
      readonly tokens: string;
      readonly starts: string;
    }
  | {
      readonly kind: "stopped";
      readonly reason: StopReason;
      readonly code: ChoirErrorCode | null;
      readonly message: string;
    };

/** A queue that one consumer reads with `for await`. */
export class EventStream implements AsyncIterable<ChoirEvent> {
  #queue: ChoirEvent[] = [];
  #wake: (() => void) | null = null;
  #ended = false;

  /** Adds an event; after the end, nothing is added. */
  push(event: ChoirEvent): void {
    if (this.#ended) return;
    this.#queue.push(event);
    this.#wake?.();
  }

  /** What is queued is still read. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ChoirEvent, void> {
    for (;;) {
      const event = this.#queue.shift();
      if (event !== undefined) yield event;
      else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        this.#wake = null;
      }
    }
  }
}
