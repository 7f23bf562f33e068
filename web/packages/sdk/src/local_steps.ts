/** The local steps of a round: from the global adapter to the tab's own. */

import type { Checkpoint } from "./checkpoint.ts";
import { ChoirError } from "./errors.ts";
import type { ChoirEvent } from "./events.ts";
import type { Gate } from "./gate.ts";
import type { Lock } from "./lock.ts";
import type { EngineTrainer } from "./modules.ts";
import type { Labelled } from "./tokens.ts";

export interface LocalSteps {
  readonly trainer: EngineTrainer;
  readonly examples: Labelled;
  readonly steps: number;
  /** Orders the batches. */
  readonly seed: bigint;
  readonly lock: Lock;
  readonly emit: (event: ChoirEvent) => void;
  /** Passed before each step. */
  readonly gate: Gate;
  /** Asked before each step. */
  readonly goOn: () => boolean;
  /** Where to go on, `null` for the start. */
  readonly resume: Checkpoint | null;
  /** Called after each step, with its number. */
  readonly afterStep: (step: number) => Promise<void>;
  /** Called before the steps pause, with the number of those taken. */
  readonly beforePause: (step: number) => Promise<void>;
}

/** What the steps have led to. */
export interface StepsTaken {
  readonly after: Float32Array;
  readonly msPerStep: number | null;
}

/** Trains and returns the adapter afterwards. Between steps the thread hears its messages. */
export async function runLocalSteps(work: LocalSteps): Promise<StepsTaken> {
  const { trainer, examples, steps, lock, emit, resume } = work;
  await lock.run(() => {
    trainer.setExamples(examples.tokens, examples.starts, examples.labels, work.seed);
    if (resume !== null) trainer.resume(resume.adapter, resume.moments, resume.step);
  });
  const times: number[] = [];
  for (let step = resume?.step ?? 0; step < steps; step += 1) {
    await messagesHeard();
    await passGate(work, step);
    if (!work.goOn()) throw new ChoirError("closed", "training was interrupted");
    const { loss, milliseconds } = await lock.run(() => trainer.step());
    if (!Number.isFinite(loss)) {
      throw new ChoirError("not-finite", `the loss is not a finite number after step ${step + 1}`);
    }
    times.push(milliseconds);
    emit({ kind: "step", step: step + 1, steps, loss, milliseconds });
    await work.afterStep(step + 1);
  }
  return { after: await lock.run(() => trainer.adapter()), msPerStep: median(times) };
}

/** Between two steps, where training is to pause: until it may go on. */
async function passGate({ gate, steps, emit, beforePause }: LocalSteps, step: number): Promise<void> {
  const { reason } = gate;
  if (reason === null) return;
  await beforePause(step);
  emit({ kind: "paused", reason, step, steps });
  await gate.passed();
  emit({ kind: "resumed", step, steps });
}

function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}

function messagesHeard(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
