/** The local steps of a round: from the global adapter to the tab's own. */

import type { Checkpoint } from "./checkpoint.ts";
import { ChoirError } from "./errors.ts";
import type { ChoirEvent } from "./events.ts";
import type { Gate } from "./gate.ts";
import type { JointSteps } from "./joint_steps.ts";
import { takeAlone } from "./joint_steps.ts";
import type { Lock } from "./lock.ts";
import type { EngineTrainer } from "./modules.ts";
import type { Labelled } from "./tokens.ts";

/** Steps are taken together while that is over within this time: nobody waits for a message longer. */
const TOGETHER_MS = 250;
/** However short they are. */
const MOST_TOGETHER = 16;

export interface LocalSteps {
  readonly trainer: EngineTrainer;
  /** Takes the trainer's steps in several threads, where that may be. */
  readonly joint: JointSteps | null;
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
  /** Steps are not taken together across multiples of this. */
  readonly every: number;
  /** Called after each step that was taken alone or as the last of some, with its number. */
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
  const { trainer, joint, examples, steps, lock, emit, resume } = work;
  await lock.run(() => {
    trainer.setExamples(examples.tokens, examples.starts, examples.labels, work.seed);
    if (resume !== null) trainer.resume(resume.adapter, resume.moments, resume.step);
  });
  const times: number[] = [];
  let step = resume?.step ?? 0;
  while (step < steps) {
    await messagesHeard();
    await passGate(work, step);
    if (!work.goOn()) throw new ChoirError("closed", "training was interrupted");
    const count = stepsTogether(work, step, times[times.length - 1]);
    const take = () => joint?.take(count, steps - step) ?? takeAlone(trainer, count);
    const { losses, milliseconds, threads } = await lock.run(take);
    for (const loss of losses) {
      step += 1;
      if (!Number.isFinite(loss)) {
        throw new ChoirError("not-finite", `the loss is not a finite number after step ${step}`);
      }
      const each = milliseconds / losses.length;
      times.push(each);
      emit({ kind: "step", step, steps, loss, milliseconds: each, threads });
    }
    await work.afterStep(step);
  }
  return { after: await lock.run(() => trainer.adapter()), msPerStep: median(times) };
}

/** How many steps to take next: each wait for the device costs, and each keeps messages waiting. */
function stepsTogether({ steps, every }: LocalSteps, taken: number, lastMs = Infinity): number {
  const inTime = Math.max(1, Math.floor(TOGETHER_MS / lastMs));
  return Math.min(steps - taken, every - (taken % every), inTime, MOST_TOGETHER);
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
