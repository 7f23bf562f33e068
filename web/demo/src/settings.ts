/** What the address asks for: `?task=<hex>&engine=webgpu|cpu|burn|auto&policy=demo|default&helper=<hex>&heldout=off&seed=<n>&threads=<n>&demo=writing`. */

import type { EngineWish, HeldOutOptions, Policy } from "@choir/sdk";
import { DEFAULT_HELD_OUT, DEFAULT_POLICY, DEMO_POLICY } from "@choir/sdk";

export interface Settings {
  readonly task: string | null;
  readonly engine: EngineWish;
  readonly policy: Policy;
  readonly heldOut: HeldOutOptions;
  readonly seed: number | null;
  /** Most that engine cpu trains in; `null` for the SDK's own choice. */
  readonly threads: number | null;
  /** The page speaks of writing before it knows its task. */
  readonly isWriting: boolean;
}

const ENGINES: readonly EngineWish[] = ["webgpu", "cpu", "burn", "auto"];

/** This page is a demonstration: it takes WebGPU where there is some, and small cohorts. */
export function readSettings(query: URLSearchParams): Settings {
  const task = query.get("task");
  const seed = Number(query.get("seed") ?? Number.NaN);
  const threads = Number(query.get("threads") ?? Number.NaN);
  return {
    task: task !== null && /^[0-9a-f]{32}$/i.test(task) ? task.toLowerCase() : null,
    engine: ENGINES.find((engine) => engine === query.get("engine")) ?? "webgpu",
    policy: { ...(query.get("policy") === "default" ? DEFAULT_POLICY : DEMO_POLICY), helpers: query.getAll("helper") },
    heldOut: query.get("heldout") === "off" ? { share: 0, most: 0 } : DEFAULT_HELD_OUT,
    seed: Number.isSafeInteger(seed) && seed >= 0 ? seed % 2 ** 32 : null,
    threads: Number.isSafeInteger(threads) && threads > 0 ? threads : null,
    isWriting: query.get("demo") === "writing",
  };
}
