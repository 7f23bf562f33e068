/**
 * Siblings of the training thread: who is given some, and what one does. A sibling loads the task's
 * model as the training thread did, but its weights from this browser's cache alone.
 */

import { ByteMeter } from "./aggregator.ts";
import type { Args, Gradient, SiblingArgs } from "./calls.ts";
import { openEngine } from "./engine_choice.ts";
import { ChoirError } from "./errors.ts";
import type { ChoirEvent } from "./events.ts";
import type { Home } from "./home.ts";
import { openHome } from "./home.ts";
import type { JointTrainer } from "./joint_steps.ts";
import { JointSteps } from "./joint_steps.ts";
import type { Model } from "./model.ts";
import { loadWeights } from "./model.ts";
import type { EngineTrainer, TaskStatus } from "./modules.ts";
import { ObjectStore } from "./objects.ts";
import { ThreadTrainer } from "./trainer.ts";

/** Threads that engine cpu trains in, where the page says nothing. */
const DEFAULT_THREADS = 2;
/** GiB, as the browser tells them: on less, one copy of the weights is enough. */
const LEAST_MEMORY = 4;
/** Weights of more bytes are not held twice. */
const MOST_WEIGHTS = 256 * 1024 * 1024;

/** What a browser may tell of its machine. */
type Device = { readonly deviceMemory?: number; readonly hardwareConcurrency?: number };

/** Steps in several threads, where the engine, the task and this machine are for it. */
export function jointSteps(
  { trainer, report }: Model,
  status: TaskStatus,
  { origin, by }: Home,
  cpuThreads: number | null,
  emit: (event: ChoirEvent) => void,
): JointSteps | null {
  const { deviceMemory = LEAST_MEMORY, hardwareConcurrency = 1 } = navigator as Device;
  const threads = Math.min(cpuThreads ?? DEFAULT_THREADS, hardwareConcurrency, status.batchSize);
  if (report.engine !== "cpu" || !isJoint(trainer) || !(threads >= 2)) return null;
  if (deviceMemory < LEAST_MEMORY || status.weightsBytes > MOST_WEIGHTS) return null;
  // What a sibling loads is in the receipt too; nothing else of it is told.
  const forward = (event: ChoirEvent): void => {
    if (event.kind === "sent") emit(event);
  };
  const start = () => new ThreadTrainer(startSibling(), forward);
  return new JointSteps({ trainer, siblings: Math.floor(threads) - 1, start, args: { origin, by, status } });
}

function isJoint(trainer: EngineTrainer): trainer is JointTrainer {
  return trainer.nextPortions !== undefined && trainer.applyGradient !== undefined;
}

/** The script that runs here, once more. Not by `new URL(...)`, which a bundler would follow in circles. */
async function startSibling(): Promise<Worker> {
  return new Worker(location.href, { type: "module", name: "sibling of the training thread" });
}

/** What a sibling does. */
export class Sibling {
  readonly #emit: (event: ChoirEvent) => void;
  #trainer: EngineTrainer | null = null;

  constructor(emit: (event: ChoirEvent) => void) {
    this.#emit = emit;
  }

  /** Loads the task's model. */
  async open({ origin, by, status }: SiblingArgs): Promise<null> {
    const { modules, objects } = await openHome(origin, { by, records: false }, new ByteMeter(), this.#emit);
    const { source, newHash } = objects;
    const fetchObject = async (): Promise<Response> => new Response(null, { status: 404 });
    const cached = new ObjectStore({ objectUrl: (digest) => source.objectUrl(digest), fetchObject }, newHash);
    const engine = await openEngine(modules, "cpu", status, null, null);
    await loadWeights(engine, cached, status, () => undefined, false);
    this.#trainer = engine.trainer;
    return null;
  }

  /** The mean gradient of some examples by this adapter; nothing of it is remembered. */
  async gradient({ adapter, tokens, starts, labels }: Args<"gradient">): Promise<Gradient> {
    const trainer = this.#trainer;
    if (trainer === null) throw new ChoirError("internal", "openSibling comes first");
    trainer.setAdapter(adapter);
    return trainer.gradient(tokens, starts, labels);
  }
}
