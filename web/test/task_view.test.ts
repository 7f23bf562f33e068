/** Which tasks a page takes part in, before anything of them is loaded. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ChoirError } from "../packages/sdk/src/errors.ts";
import { ALL_MINI_LM_L6_V2, DEFAULT_POLICY, DEMO_POLICY } from "../packages/sdk/src/policy.ts";
import { checkPolicy, trustInWords } from "../packages/sdk/src/task_view.ts";

const TASK = { minCohort: 50, weights: ALL_MINI_LM_L6_V2, helper: null };
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

test("a second aggregator that the page does not name is refused by its key", () => {
  const helper = { url: "https://helper.example", key: "07".repeat(32) };
  const task = { ...TASK, helper };
  for (const policy of [DEFAULT_POLICY, DEMO_POLICY, { ...DEFAULT_POLICY, helpers: ["08".repeat(32)] }]) {
    assert.throws(() => checkPolicy(task, policy), refused(new RegExp(helper.key)));
  }
  checkPolicy(task, { ...DEFAULT_POLICY, helpers: [helper.key] });
});

test("whom a visitor trusts is said where there are two aggregators, and only there", () => {
  assert.equal(trustInWords(null), null);
  const words = trustInWords({ url: "https://helper.example/a", key: "07".repeat(32) }) ?? "";
  assert.match(words, /helper\.example/);
  assert.match(words, /do not work together/);
});
