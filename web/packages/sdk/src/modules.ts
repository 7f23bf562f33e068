/**
 * The wasm modules as this SDK sees them: one for the protocol, one per engine. Each is fetched
 * when it is first needed, so an engine that is not used is never downloaded.
 */

import type { Gradient } from "./calls.ts";
import { ChoirError } from "./errors.ts";
import type { ModuleTable } from "./files.ts";
import { fetchChecked } from "./files.ts";
import type { Policy } from "./policy.ts";

/** A task and where it stands, decoded by the protocol module. Digests and ids are hex. */
export interface TaskStatus {
  readonly name: string;
  readonly payload: "adapter" | "centroids" | "language";
  /** What the files of a language task's base model are; `null` of every other task. */
  readonly files: "hugging_face" | "llama2c" | null;
  /** Tokens that the base model knows. */
  readonly vocabulary: number;
  readonly labels: readonly string[];
  readonly maxLength: number;
  readonly batchSize: number;
  readonly localSteps: number;
  readonly weights: string;
  readonly weightsBytes: number;
  readonly tokenizer: string;
  readonly frozenHead: string | null;
  /** Values in the adapter. */
  readonly adapterLength: number;
  readonly version: number;
  readonly adapter: string;
  readonly round: string | null;
  readonly running: boolean;
  readonly roundsLeft: number;
  readonly successor: string | null;
  readonly cohortSize: number;
  readonly minCohort: number;
  /** Standard deviation of the noise over the clip norm; 0 is none. */
  readonly noiseMultiplier: number;
  /** The second aggregator, where the task has one. */
  readonly helper: Helper | null;
  /** The last closed rounds, oldest first. */
  readonly history: readonly ClosedRound[];
  /** Of the task's configuration, hex. */
  readonly taskDigest: string;
  /** The task's configuration as wire bytes, for `Trainer.open`. */
  readonly config: Uint8Array;
}

/** The second aggregator of a task. */
export interface Helper {
  readonly url: string;
  /** X25519, hex: what seeds of masks are sealed to. */
  readonly key: string;
}

/** What a task tells of a round that has made a version. */
export interface ClosedRound extends Receipt {
  readonly round: string;
}

/** The last message of a round. */
export interface Receipt {
  readonly version: number;
  readonly clients: number;
  readonly survivors: number;
  readonly sumDigest: string;
}

/** What one client of one round wants done. */
export type Effect =
  | { readonly kind: "send"; readonly bytes: Uint8Array }
  | { readonly kind: "upload"; readonly bytes: Uint8Array }
  | { readonly kind: "lobby"; readonly joined: number; readonly cohortSize: number; readonly minCohort: number }
  | { readonly kind: "phase"; readonly phase: string }
  | { readonly kind: "finished"; readonly receipt: Receipt }
  | {
      readonly kind: "left";
      readonly reason: string;
      /** `again`: nothing was masked yet, the same update may join the next round of its version. */
      readonly next: "retrain" | "again" | "stop";
    };

/** One client in one round: bytes in, effects out, no network of its own. */
export interface ParticipationHandle {
  start(): Effect[];
  message(bytes: Uint8Array): Effect[];
  uploaded(status: number, body: Uint8Array): Effect[];
  disconnected(): Effect[];
  reconnected(): Effect[];
  /** Only in a build that observes. */
  plainWords?(): Uint32Array;
  free(): void;
}

/** What the leader's answer to a report means. */
export type ReportAnswer =
  | { readonly kind: "taken" }
  | { readonly kind: "refused"; readonly reason: string; readonly next: "retrain" | "again" | "stop" };

/** One report of one update to two aggregators: its bytes are the same each time. */
export interface ReportHandle {
  bytes(): Uint8Array;
  answered(status: number, body: Uint8Array): ReportAnswer;
  /** Only in a build that observes. */
  plainWords?(): Uint32Array;
  free(): void;
}

/** SHA-256 of a stream. */
export interface StreamHash {
  update(chunk: Uint8Array): void;
  /** Hex; the handle is spent. */
  finish(): string;
}

export interface ProtocolModule {
  decodeTaskStatus(bytes: Uint8Array): TaskStatus;
  /** The task that the site points at, hex. */
  decodeSiteStatus(bytes: Uint8Array): { readonly task: string | null };
  readonly Participation: {
    join(
      status: Uint8Array,
      task: string,
      policy: Policy,
      update: Float32Array,
      exampleCount: number,
    ): ParticipationHandle;
  };
  readonly Report: {
    make(status: Uint8Array, task: string, policy: Policy, update: Float32Array, exampleCount: number): ReportHandle;
  };
  readonly StreamHash: new () => StreamHash;
  subtract(after: Float32Array, before: Float32Array): Float32Array;
  /** Of so many participations in a task, at `delta`; `undefined` where nothing bounds it. */
  epsilon(status: Uint8Array, participations: number, delta: number): number | undefined;
}

/** Kernels that are being made ready beside everything else. */
export interface Preparation {
  readonly kernels: number;
  /** How many are ready by now. */
  readonly ready: number;
  readonly done: Promise<void>;
  free(): void;
}

/** What a training takes of a device's memory, at the highest and by what it is for. */
export interface MemoryPlan {
  readonly peakBytes: number;
  readonly frozenBytes: number;
  readonly adapterBytes: number;
  readonly activationBytes: number;
  /** Whether some of the activations are made again instead of being kept, which takes less. */
  readonly recomputes: boolean;
}

/** What one thread computes of a batch. */
export interface Portion extends Readonly<Record<"tokens" | "starts" | "labels", Uint32Array>> {
  /** Of its mean in the mean of the whole batch. */
  readonly weight: number;
}

/** A model on a device: what the engine modules export. */
export interface EngineTrainer {
  info(): { readonly device: string; readonly adapter: string };
  /**
   * Plans the memory of the longest batch before the weights come, and makes activations again where
   * that is needed to stay within so many bytes. `null` where an engine does not count its memory;
   * throws `too-large` where the training takes more even so.
   */
  plan(maxGpuBytes?: number): MemoryPlan | null;
  /** Makes the task's kernels ready; best asked for before the weights come. */
  prepare(): Preparation;
  addWeights(chunk: Uint8Array): void;
  finishWeights(): void;
  setFrozenHead(flat: Float32Array): void;
  setAdapter(flat: Float32Array): void;
  adapter(): Promise<Float32Array>;
  setExamples(tokens: Uint32Array, starts: Uint32Array, labels: Uint32Array, seed: bigint): void;
  /** The optimizer's first moments, then its second moments. */
  optimizer(): Promise<Float32Array>;
  /** Goes on behind so many steps on the examples set just before. */
  resume(adapter: Float32Array, moments: Float32Array, steps: number): void;
  /** Takes so many steps and waits for the device once: a loss for each, and how long all took. */
  steps(count: number): Promise<{ readonly losses: readonly number[]; readonly milliseconds: number }>;
  /** On all of these examples as one batch; the adapter stays as it is. */
  gradient(tokens: Uint32Array, starts: Uint32Array, labels: Uint32Array): Promise<Gradient>;
  /** The next batch in at most so many portions, for `gradient` in as many threads. Of engine cpu. */
  nextPortions?(most: number): readonly Portion[];
  /** Takes the step by the sum of the portions' gradients, each times its weight. Of engine cpu. */
  applyGradient?(gradient: Float32Array): void;
  evaluate(
    tokens: Uint32Array,
    starts: Uint32Array,
    labels: Uint32Array,
  ): Promise<{ readonly loss: number; /** Of a classifier. */ readonly accuracy: number | null }>;
  classify(tokens: Uint32Array, starts: Uint32Array): Promise<Float32Array>;
  centroids(): Promise<Float32Array>;
  counts(): { readonly dispatches: number; readonly submits: number; readonly peakBytes: number };
  free(): void;
}

/** How the next token of a text is chosen. */
export interface SamplingSettings {
  /** 0 takes the likeliest token. */
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  /** Above 1 it makes what is there already less likely. */
  readonly repetitionPenalty?: number;
  /** Equal seeds give equal texts. */
  readonly seed?: number;
}

/** A decoder on a device: it is trained as any model, and goes on with a text. */
export interface LanguageEngineTrainer extends EngineTrainer {
  /** Takes the adapter off until another one is set. */
  removeAdapter(): void;
  /** Tokens that a text can have. */
  room(): number;
  startText(settings: SamplingSettings & { readonly capacity: number }): void;
  /** Forgets all but the first `count` tokens of the text; the next ones are chosen by these settings. */
  rewindText(count: number, settings: SamplingSettings): void;
  /** Reads tokens into the text; yields the one that follows, which is not read yet. */
  nextToken(tokens: Uint32Array): Promise<number>;
}

/** The tokenizer of llama2.c's checkpoints. */
export interface Llama2cTokenizer {
  readonly begin: number;
  readonly end: number;
  encode(text: string, begin: boolean): Uint32Array;
  decode(tokens: Uint32Array): string;
  free(): void;
}

/**
 * Rows of at most so many tokens of passages that are tokens already, packed, each after the token that
 * begins a text; each token has the next as its label.
 */
export type PackPassages = (
  tokens: Uint32Array,
  starts: Uint32Array,
  begin: number,
  context: number,
) => Record<"tokens" | "starts" | "labels", readonly number[]>;

export interface EngineModule {
  readonly Trainer: { open(config: Uint8Array): Promise<EngineTrainer> };
  /** Of language tasks; its examples are rows with a label for each token. Absent from engine burn. */
  readonly LanguageTrainer?: { open(config: Uint8Array): Promise<LanguageEngineTrainer> };
  readonly Llama2cTokenizer?: new (bytes: Uint8Array, vocabulary: number) => Llama2cTokenizer;
  readonly packPassages?: PackPassages;
  /** GFLOP/s of a short product on this engine's device. */
  measureProduct(): Promise<number>;
}

/** What a chat model's files say of conversations. */
export interface ChatFiles {
  /** Jinja. */
  readonly template: string;
  /** Starts a text. */
  readonly bosToken: string | null;
  /** Ends a text. */
  readonly eosToken: string | null;
}

/** A message of a conversation. */
export interface ChatMessage {
  /** `system`, `user` or `assistant`, as far as the model's template knows them. */
  readonly role: string;
  readonly content: string;
}

/** Chat templates. Its errors have the template's `line` beside code and message. */
export interface ChatModule {
  readChatFiles(tokenizerConfig: string, templateFile?: string): ChatFiles;
  renderChat(files: ChatFiles, messages: readonly ChatMessage[], addGenerationPrompt: boolean): string;
}

export type ModuleName = "protocol" | "wgsl" | "cpu" | "burn";

/** What wasm-bindgen writes: the script's default export compiles the wasm that it is given. */
interface WasmScript {
  default(wasm: { readonly module_or_path: Response }): Promise<unknown>;
}

/** Loads each module once, and only where its files are those that were built. */
export class Modules {
  readonly #loaded = new Map<ModuleName, Promise<unknown>>();

  constructor(readonly table: ModuleTable) {}

  protocol(): Promise<ProtocolModule> {
    return this.#load("protocol") as Promise<ProtocolModule>;
  }

  engine(name: Exclude<ModuleName, "protocol">): Promise<EngineModule> {
    return this.#load(name) as Promise<EngineModule>;
  }

  #load(name: ModuleName): Promise<unknown> {
    const known = this.#loaded.get(name);
    if (known !== undefined) return known;
    const loading = loadModule(this.table, name);
    this.#loaded.set(name, loading);
    loading.catch(() => this.#loaded.delete(name));
    return loading;
  }
}

/** Fetches a module and compiles it, where its files are those that were built. */
export async function loadModule(table: ModuleTable, name: ModuleName | "chat"): Promise<unknown> {
  const files = table[name];
  if (files === undefined) throw new ChoirError("missing-file", `this build of Choir has no module "${name}"`);
  const { script, wasm } = files;
  await fetchChecked(script);
  const module = (await import(/* @vite-ignore */ script.url)) as WasmScript;
  await module.default({ module_or_path: await fetchChecked(wasm) });
  return module;
}
