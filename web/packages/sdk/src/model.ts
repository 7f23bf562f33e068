/** The base model in this tab: an engine with its weights, and the tokenizer. */

import type { OpenedEngine } from "./engine_choice.ts";
import { openEngine } from "./engine_choice.ts";
import { asChoirError, ChoirError } from "./errors.ts";
import type { ChoirEvent, EngineReport, EngineWish } from "./events.ts";
import type { JointSteps } from "./joint_steps.ts";
import type { EngineModule, EngineTrainer, Modules, Preparation, TaskStatus } from "./modules.ts";
import type { ObjectStore, Progress } from "./objects.ts";
import { openTokenizer } from "./passages.ts";
import type { TaskTokenizer } from "./tokens.ts";

type Emit = (event: ChoirEvent) => void;

/** Progress events are told this often at most. */
const PROGRESS_EVERY_MS = 100;
/** How often the wait for kernels is told of. */
const READINESS_EVERY_MS = 500;

export class Model {
  /** Takes steps in several threads; of a model that is trained, where that may be. */
  joint: JointSteps | null = null;

  private constructor(
    readonly trainer: EngineTrainer,
    readonly report: EngineReport,
    readonly tokenizer: TaskTokenizer,
    /** Where the trainer is from. */
    readonly module: EngineModule,
    readonly tokenizerFile: Uint8Array,
  ) {}

  /**
   * Opens an engine and gives it the task's weights, from the cache where they are. To go on with texts
   * takes other kernels than to train, few of them: they are made when they are needed.
   */
  static async open(
    modules: Modules,
    objects: ObjectStore,
    status: TaskStatus,
    wish: EngineWish,
    because: string | null,
    maxGpuBytes: number | null,
    emit: Emit,
    purpose: "training" | "writing" = "training",
  ): Promise<Model> {
    const tokenizerFile = await objects.read(status.tokenizer, progressOf("tokenizer", emit));
    let engine = await openEngine(modules, wish, status, because, maxGpuBytes);
    emit({ kind: "engine", ...engine.report });
    try {
      await loadWeights(engine, objects, status, emit, purpose === "training");
    } catch (thrown) {
      engine.trainer.free();
      const error = asChoirError(thrown);
      if (error.code !== "digest-mismatch") throw error;
      // The damaged copy is gone from the cache; once more, from the aggregator.
      engine = await openEngine(modules, engine.report.engine, status, engine.report.reason, maxGpuBytes);
      await loadWeights(engine, objects, status, emit, purpose === "training");
    }
    try {
      const tokenizer = openTokenizer(engine.module, tokenizerFile, status);
      return new Model(engine.trainer, engine.report, tokenizer, engine.module, tokenizerFile);
    } catch (thrown) {
      engine.trainer.free();
      throw thrown;
    }
  }

  close(): void {
    this.joint?.close();
    this.tokenizer.free();
    this.trainer.free();
  }
}

/** Gives an engine the task's weights. */
export async function loadWeights(
  { trainer }: OpenedEngine,
  objects: ObjectStore,
  status: TaskStatus,
  emit: Emit,
  prepares: boolean,
): Promise<void> {
  if (!prepares) return streamWeights(trainer, objects, status, emit);
  // Before the first byte: the browser makes the kernels while the weights arrive.
  const preparation = trainer.prepare();
  // Heard at once; thrown where it is waited for.
  const failure = preparation.done.then(
    () => null,
    (thrown: unknown) => asChoirError(thrown),
  );
  try {
    await streamWeights(trainer, objects, status, emit);
    await readiness(preparation, failure, emit);
  } finally {
    preparation.free();
  }
}

async function streamWeights(trainer: EngineTrainer, objects: ObjectStore, status: TaskStatus, emit: Emit): Promise<void> {
  const progress = progressOf("model", emit);
  await objects.stream(
    status.weights,
    (chunk) => trainer.addWeights(chunk),
    (loaded, total, cached) => progress(loaded, total ?? status.weightsBytes, cached),
  );
  trainer.finishWeights();
  if (status.frozenHead !== null) {
    trainer.setFrozenHead(asFloats(await objects.read(status.frozenHead, progressOf("head", emit))));
  }
}

/** Waits for the kernels and tells how many are ready meanwhile. */
async function readiness(preparation: Preparation, failure: Promise<ChoirError | null>, emit: Emit): Promise<void> {
  const tell = (): void => emit({ kind: "preparing", ready: preparation.ready, kernels: preparation.kernels });
  const ticking = setInterval(tell, READINESS_EVERY_MS);
  try {
    const error = await failure;
    if (error !== null) throw error;
  } finally {
    clearInterval(ticking);
  }
}

/** f32 values from little-endian bytes. */
export function asFloats(bytes: Uint8Array): Float32Array {
  if (bytes.length % 4 !== 0) throw new ChoirError("bad-model", "an object of f32 values is cut short");
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** Tells progress as events, not too often. */
export function progressOf(file: "model" | "tokenizer" | "adapter" | "head", emit: Emit): Progress {
  let last = 0;
  return (loaded, total, cached) => {
    const now = performance.now();
    if (now - last < PROGRESS_EVERY_MS && loaded !== total) return;
    last = now;
    emit({ kind: "download", file, loaded, total, cached });
  };
}
