/**
 * One client's way through a round with two aggregators: one report, by one request. It needs no
 * cohort to be there at the same time; from the moment the leader has it, the tab may close.
 */

import type { Aggregator } from "./aggregator.ts";
import { jitteredWait } from "./aggregator.ts";
import type { Contribution } from "./calls.ts";
import type { RoundOutcome } from "./contribution.ts";
import { asChoirError } from "./errors.ts";
import type { ChoirEvent } from "./events.ts";
import type { ReportHandle, TaskStatus } from "./modules.ts";
import type { RoundFacts } from "./receipt.ts";

/** What a report needs of its surroundings. */
export interface ReportContext {
  readonly aggregator: Aggregator;
  readonly task: string;
  readonly round: RoundFacts;
  readonly version: number;
  readonly report: ReportHandle;
  readonly msPerStep: number | null;
  readonly signal: AbortSignal;
  readonly emit: (event: ChoirEvent) => void;
  /** Done before the masked update leaves the tab. */
  readonly beforeUpload: () => Promise<void>;
  /** The task as it is now. */
  readonly status: () => Promise<TaskStatus>;
}

const POLL_MS = 1_000;

/** Sends the report and waits for what comes of its round. */
export async function report(context: ReportContext): Promise<RoundOutcome> {
  const { aggregator, task, round, version, emit, signal } = context;
  let uploaded = false;
  const left = (reason: string, by: "visitor" | "round" = "round"): Contribution => ({ outcome: "left", by, reason, uploaded });
  try {
    if (signal.aborted) return left("the visitor left", "visitor");
    emit({ kind: "joining", round: round.round, version });
    await context.beforeUpload();
    emit({ kind: "phase", phase: "collect" });
    uploaded = true;
    const answer = await aggregator.report(task, round, context.report.bytes());
    const taken = context.report.answered(answer.status, answer.body);
    if (taken.kind === "refused") {
      // What has left the tab once, masked, is never masked again.
      return taken.next === "stop" ? left(taken.reason) : { outcome: "retrain", reason: taken.reason };
    }
    return await result(context, left);
  } catch (thrown) {
    return left(asChoirError(thrown).message);
  } finally {
    context.report.free();
  }
}

/** Looks at the task until the round is over. A visitor who leaves meanwhile is still in the sum. */
async function result(
  { aggregator, round, msPerStep, signal, status }: ReportContext,
  left: (reason: string, by: "visitor") => Contribution,
): Promise<Contribution> {
  for (;;) {
    await jitteredWait(POLL_MS);
    if (signal.aborted) return left("the visitor left", "visitor");
    const { history, round: open, running } = await status();
    const published = history.find((one) => one.round === round.round);
    if (published !== undefined) {
      const { up: bytesUp, down: bytesDown } = aggregator.meter;
      return { outcome: "published", report: { ...published, bytesUp, bytesDown, msPerStep } };
    }
    if (!running || open !== round.round) return { outcome: "retrain", reason: "the round ended without a sum" };
  }
}
