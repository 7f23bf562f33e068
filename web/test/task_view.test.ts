/** Which tasks a page takes part in, before anything of them is loaded. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ChoirError } from "../packages/sdk/src/errors.ts";
import { ALL_MINI_LM_L6_V2, DEFAULT_POLICY, DEMO_POLICY } from "../packages/sdk/src/policy.ts";
import { checkPolicy } from "../packages/sdk/src/task_view.ts";

const TASK = { minCohort: 50, weights: ALL_MINI_LM_L6_V2 };
const refused = (said: RegExp) => (thrown: unknown) =>
  thrown instanceof ChoirError && thrown.code === "policy" && said.test(thrown.message);

test("a task at the floor, on a base model that the page names, is taken", () => {
  checkPolicy(TASK, DEFAULT_POLICY);
  checkPolicy({ ...TASK, minCohort: 3 }, DEMO_POLICY);
});

test("a cohort below the floor is refused", () => {
  assert.throws(() => checkPolicy({ ...TASK, minCohort: 49 }, DEFAULT_POLICY), refused(/50 or more.*49/));
});

test("a base model that the server chose is refused by name, whatever the policy's floor", () => {
  const weights = ALL_MINI_LM_L6_V2.replace("53aa", "53ab");
  for (const policy of [DEFAULT_POLICY, DEMO_POLICY]) {
    assert.throws(() => checkPolicy({ ...TASK, weights }, policy), refused(new RegExp(weights)));
  }
  checkPolicy({ ...TASK, weights }, { ...DEFAULT_POLICY, baseModels: [weights] });
});
