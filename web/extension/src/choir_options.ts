/** What the visitor chose, as the SDK takes it. */

import type { ChoirOptions, Policy } from "@choir/sdk";
import { CHOIR_4M, DEFAULT_POLICY, DEMO_POLICY } from "@choir/sdk";
import type { Settings } from "./messages.ts";

/** The production default, for a task that writes with the built-in decoder too. */
const POLICY: Policy = { ...DEFAULT_POLICY, baseModels: [...DEFAULT_POLICY.baseModels, CHOIR_4M] };

export function choirOptions({ aggregator, task, engine, policy }: Settings): ChoirOptions {
  return {
    aggregator: aggregator.replace(/\/$/, ""),
    engine,
    policy: policy === "demo" ? DEMO_POLICY : POLICY,
    ...(task === "" ? {} : { task: task.toLowerCase() }),
  };
}
