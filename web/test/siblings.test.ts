/** Who is given siblings of the training thread, and what one does before it has a model. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Home } from "../packages/sdk/src/home.ts";
import type { Model } from "../packages/sdk/src/model.ts";
import type { TaskStatus } from "../packages/sdk/src/modules.ts";
import { jointSteps, Sibling } from "../packages/sdk/src/siblings.ts";

const MiB = 1024 * 1024;

interface Case {
  readonly device?: { readonly deviceMemory?: number; readonly hardwareConcurrency?: number };
  readonly engine?: string;
  readonly trainer?: object;
  readonly batchSize?: number;
  readonly weightsBytes?: number;
  readonly cpuThreads?: number;
}

function isJoint({ device = { hardwareConcurrency: 4 }, engine = "cpu", trainer, batchSize = 8, weightsBytes = 91 * MiB, cpuThreads }: Case) {
  Object.defineProperty(globalThis, "navigator", { value: device, configurable: true });
  const able = { nextPortions: () => [], applyGradient: () => undefined };
  const model = { trainer: trainer ?? able, report: { engine } } as unknown as Model;
  const status = { batchSize, weightsBytes } as TaskStatus;
  return jointSteps(model, status, {} as Home, cpuThreads ?? null, () => undefined) !== null;
}

test("engine cpu is given a sibling on a machine with two cores and enough memory", () => {
  assert.ok(isJoint({}));
  assert.ok(isJoint({ device: { hardwareConcurrency: 2, deviceMemory: 4 } }));
  assert.ok(isJoint({ cpuThreads: 4 }));
});

test("there is none where a second copy of the weights, or a second thread, is of no use", () => {
  assert.ok(!isJoint({ device: { hardwareConcurrency: 1 } }), "one core");
  assert.ok(!isJoint({ device: {} }), "cores that nobody tells");
  assert.ok(!isJoint({ device: { hardwareConcurrency: 8, deviceMemory: 2 } }), "little memory");
  assert.ok(!isJoint({ weightsBytes: 300 * MiB }), "large weights");
  assert.ok(!isJoint({ engine: "webgpu" }), "another engine");
  assert.ok(!isJoint({ trainer: {} }), "a module that has no portions");
  assert.ok(!isJoint({ batchSize: 1 }), "one example a batch");
  assert.ok(!isJoint({ cpuThreads: 1 }), "the page's wish");
  assert.ok(!isJoint({ cpuThreads: Number.NaN }), "no number");
});

test("a sibling without a model computes nothing", async () => {
  const none = new Uint32Array();
  const asked = new Sibling(() => undefined).gradient({ adapter: new Float32Array(1), tokens: none, starts: none, labels: none });
  await assert.rejects(asked, /openSibling comes first/);
});
