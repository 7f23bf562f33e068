/** The ledger: participations by task, and what is said of their privacy. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Participation } from "../packages/sdk/src/ledger.ts";
import { LEDGER_DELTA, ledgerOf, lossInWords, noiseInWords } from "../packages/sdk/src/ledger.ts";

function participation(task: string, day: number, epsilon: number | null): Participation {
  const time = new Date(Date.UTC(2030, 0, day)).toISOString();
  const noiseMultiplier = epsilon === null ? 0 : 1;
  const common = { name: `task ${task}`, version: day, cohortSize: 50, outcome: "published", delta: LEDGER_DELTA } as const;
  return { ...common, round: `${task}${day}`, task, time, noiseMultiplier, epsilon };
}

test("participations are listed by task, in order, the newest task first", () => {
  const ledger = ledgerOf([participation("a", 3, 5), participation("b", 2, null), participation("a", 1, 4)]);
  assert.deepEqual(
    ledger.map(({ task, participations }) => [task, participations.map((entry) => entry.round)]),
    [
      ["b", ["b2"]],
      ["a", ["a1", "a3"]],
    ],
  );
});

test("epsilon is that of all participations in a task", () => {
  const [ledger] = ledgerOf([participation("a", 1, 4.377), participation("a", 2, 6.5)]);
  assert.equal(ledger?.epsilon, 6.5);
  assert.equal(ledger?.statement, "(6.50, 0.00001)-differential privacy");
});

test("no noise is plainly no differential privacy, and one round without a bound leaves none", () => {
  assert.equal(ledgerOf([participation("a", 1, null)])[0]?.statement, "no differential privacy");
  const mixed = ledgerOf([participation("a", 1, 4), participation("a", 2, null)])[0];
  assert.equal(mixed?.epsilon, null);
  assert.equal(mixed?.statement, "no differential privacy");
  assert.equal(lossInWords(null, LEDGER_DELTA), "no differential privacy");
  assert.match(noiseInWords(0), /no differential privacy/);
  assert.match(noiseInWords(1.1), /^Skellam noise .* 1\.1 times the clip norm$/);
});
