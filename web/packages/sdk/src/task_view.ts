/** What a page hears of a task, and whether it may take part. */

import { ChoirError } from "./errors.ts";
import type { TaskSummary } from "./events.ts";
import { noiseInWords } from "./ledger.ts";
import type { TaskStatus } from "./modules.ts";
import type { Policy } from "./policy.ts";
import type { RoundFacts } from "./receipt.ts";

/** Said before anything is loaded; the protocol module checks the whole policy again before it joins. */
export function checkPolicy({ minCohort }: TaskStatus, policy: Policy): void {
  if (minCohort >= policy.minCohort) return;
  const reason = `this page joins cohorts of ${policy.minCohort} or more, and the task's may have ${minCohort}`;
  throw new ChoirError("policy", reason);
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
