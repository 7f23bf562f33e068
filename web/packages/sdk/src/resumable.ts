/**
 * The local steps of a round with checkpoints: a reload, a lost device or another engine goes on
 * where the newest one was taken, if everything it was taken of is the same.
 */

import type { Checkpoint, TrainingKey } from "./checkpoint.ts";
import { whyAnother } from "./checkpoint.ts";
import type { CheckpointFiles } from "./checkpoint_files.ts";
import { asChoirError } from "./errors.ts";
import type { Example } from "./examples.ts";
import type { LocalSteps, StepsTaken } from "./local_steps.ts";
import { runLocalSteps } from "./local_steps.ts";

/** About so many checkpoints in a training, however long it is; at most one after each step. */
const CHECKPOINTS = 20;

export interface ResumableSteps extends Omit<LocalSteps, "resume" | "every" | "afterStep" | "beforePause"> {
  readonly key: TrainingKey;
  /** `null` where nothing is kept. */
  readonly files: CheckpointFiles | null;
  /** To be kept beside the checkpoint, where the visitor wants that. */
  readonly keep: readonly Example[] | null;
}

/** Takes the local steps that are left. */
export async function runResumableSteps(work: ResumableSteps): Promise<StepsTaken> {
  const { key, files, emit, steps, trainer, lock, goOn } = work;
  const resume = files === null ? null : await whereItStopped(work, files);
  emit({ kind: "training", version: key.version, steps, from: resume?.step ?? 0 });
  const every = Math.ceil(steps / CHECKPOINTS);
  let kept = resume?.step ?? 0;
  const keep = async (step: number): Promise<void> => {
    if (files === null || step === kept) return;
    const [adapter, moments] = await lock.run(async () => [await trainer.adapter(), await trainer.optimizer()] as const);
    // A visitor who left meanwhile has had everything deleted.
    if (!goOn() || !(await files.save({ key, step, steps, at: Date.now(), adapter, moments }, work.keep))) return;
    kept = step;
    emit({ kind: "checkpoint", state: "written", version: key.version, step, steps, reason: null });
  };
  const afterStep = async (step: number): Promise<void> => {
    if (step % every === 0 || step === steps) await keep(step);
  };
  try {
    return await runLocalSteps({ ...work, resume, every, afterStep, beforePause: keep });
  } catch (thrown) {
    // What led to a loss that is no number would lead there again.
    if (asChoirError(thrown).code === "not-finite") await files?.drop();
    throw thrown;
  }
}

async function whereItStopped({ key, emit, steps }: ResumableSteps, files: CheckpointFiles): Promise<Checkpoint | null> {
  const found = await files.newest();
  if (found === null) return null;
  const reason = whyAnother(found.key, key);
  const { step } = found;
  const { version } = found.key;
  if (reason === null && found.steps === steps) {
    emit({ kind: "checkpoint", state: "resumed", version, step, steps, reason: null });
    return found;
  }
  await files.drop();
  // Allows writing again.
  await files.newest();
  emit({ kind: "checkpoint", state: "refused", version, step, steps, reason: reason ?? "it had another number of steps" });
  return null;
}
