/** What a page hears of a task, and whether it may take part. */

import { ChoirError } from "./errors.ts";
import type { TaskSummary } from "./events.ts";
import { noiseInWords } from "./ledger.ts";
import type { Helper, TaskStatus } from "./modules.ts";
import type { Policy } from "./policy.ts";
import type { RoundFacts } from "./receipt.ts";

/**
 * Said before anything is loaded. The protocol module checks cohort, corrupt fraction and noise again
 * before it joins; the base model is checked here alone, and its bytes against this digest on arrival.
 */
export function checkPolicy({ minCohort, weights, helper }: Pick<TaskStatus, "minCohort" | "weights" | "helper">, policy: Policy): void {
  if (minCohort < policy.minCohort) {
    const reason = `this page joins cohorts of ${policy.minCohort} or more, and the task's may have ${minCohort}`;
    throw new ChoirError("policy", reason);
  }
  if (!policy.baseModels.includes(weights)) {
    const reason = `the task's base model ${weights} is not among those that this page's policy names in baseModels`;
    throw new ChoirError("policy", reason);
  }
  if (helper !== null && !(policy.helpers ?? []).includes(helper.key)) {
    const reason = `the task's helper ${helper.key} at ${helper.url} is not among those that this page's policy names in helpers`;
    throw new ChoirError("policy", reason);
  }
}

/** Whom a visitor has to trust in a task with two aggregators, in English; `null` where there is one. */
export function trustInWords(helper: Helper | null): string | null {
  if (helper === null) return null;
  return (
    "This task has two aggregators. The leader gets your update under a mask; the helper at " +
    `${new URL(helper.url).host} gets the key of that mask, sealed so that the leader cannot read it. ` +
    "Either of them alone learns the sum of a batch and nothing else of you. Both together could read every update: " +
    "this is private only if those who run them do not work together."
  );
}

export function summary(task: string, status: TaskStatus): TaskSummary {
  const { name, payload, labels, maxLength, version, roundsLeft, running } = status;
  const { cohortSize, minCohort, localSteps, weightsBytes, helper } = status;
  return { task, name, payload, labels, maxLength, version, roundsLeft, running, cohortSize, minCohort, localSteps, weightsBytes, helper };
}

/** What the receipt says of everything that is sent in a round. */
export function factsOf(round: string, { cohortSize, noiseMultiplier }: TaskStatus): RoundFacts {
  return { round, cohortSize, noise: noiseInWords(noiseMultiplier) };
}
