/** What a site owner is told where the aggregator does not answer as one. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { refusal, unreachable } from "../packages/sdk/src/remedies.ts";

const parties = { aggregator: "https://sum.example", page: "https://shop.example" };

test("a page that is not on the list learns which origin to add, and where", () => {
  const { code, message } = refusal(parties, "/v1/site", 403, "origin-not-allowed\n");
  assert.equal(code, "origin-refused");
  assert.match(message, /add https:\/\/shop\.example to ALLOWED_ORIGINS/);
});

test("another refusal is not taken for that one", () => {
  assert.equal(refusal(parties, "/v1/site", 403, "forbidden").code, "network");
});

test("a task that is not there is named", () => {
  const { code, message } = refusal(parties, "/v1/tasks/00ff", 404, "unknown-task\n");
  assert.equal(code, "bad-task");
  assert.match(message, /no task 00ff/);
});

test("a host that is no aggregator is said to be none", () => {
  assert.match(refusal(parties, "/v1/site", 404, "<h1>Not found</h1>").message, /no Choir aggregator/);
});

test("silence names the policy of the page where it may be the cause", () => {
  assert.match(unreachable(parties, "Failed to fetch").message, /connect-src https:\/\/sum\.example wss:\/\/sum\.example/);
  const own = { aggregator: "https://shop.example", page: "https://shop.example" };
  assert.doesNotMatch(unreachable(own, "Failed to fetch").message, /connect-src/);
});
