/** What a page hears of a task, and whether it may take part. */

import { ChoirError } from "./errors.ts";
import type { TaskSummary } from "./events.ts";
import { noiseInWords } from "./ledger.ts";
import type { TaskStatus } from "./modules.ts";
import type { Policy } from "./policy.ts";
import type { RoundFacts } from "./receipt.ts";

/**
 * Said before anything is loaded. The protocol module checks cohort, corrupt fraction and noise again
 * before it joins; the base model is checked here alone, and its bytes against this digest on arrival.
 */
export function checkPolicy({ minCohort, weights }: Pick<TaskStatus, "minCohort" | "weights">, policy: Policy): void {
  if (minCohort < policy.minCohort) {
    const reason = `this page joins cohorts of ${policy.minCohort} or more, and the task's may have ${minCohort}`;
    throw new ChoirError("policy", reason);
  }
  if (!policy.baseModels.includes(weights)) {
    const reason = `the task's base model ${weights} is not among those that this page's policy names in baseModels`;
    throw new ChoirError("policy", reason);
  }
}

export function summary(task: string, status: TaskStatus): TaskSummary {
  const { name, payload, labels, maxLength, version, roundsLeft, running } = status;
  const { cohortSize, minCohort, localSteps, weightsBytes } = status;
  return { task, name, payload, labels, maxLength, version, roundsLeft, running, cohortSize, minCohort, localSteps, weightsBytes };
}

/** What the receipt says of everything that is sent in a round. */
export function factsOf(round: string, { cohortSize, noiseMultiplier }: TaskStatus): RoundFacts {
  return { round, cohortSize, noise: noiseInWords(noiseMultiplier) };
}
