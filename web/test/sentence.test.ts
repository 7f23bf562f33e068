/** The one line that small pages show. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { sentence } from "../packages/sdk/src/sentence.ts";

test("who waits for a cohort reads how many have joined", () => {
  assert.equal(
    sentence({ kind: "lobby", joined: 12, cohortSize: 50, minCohort: 50 }),
    "Waiting for a cohort: 12 of 50 have joined.",
  );
});

test("a download tells its part of the whole only where the whole is known", () => {
  const download = { kind: "download", file: "model", loaded: 45, cached: false } as const;
  assert.equal(sentence({ ...download, total: 90 }), "Loading the model: 50 %.");
  assert.equal(sentence({ ...download, total: null }), "Loading the model.");
});

test("who waits for kernels reads how many are ready", () => {
  assert.match(sentence({ kind: "preparing", ready: 3, kernels: 20 }) ?? "", /3 of 20 kernels/);
});

test("the enrolment leaves the lobby's line as it is", () => {
  assert.equal(sentence({ kind: "phase", phase: "enroll" }), null);
});
