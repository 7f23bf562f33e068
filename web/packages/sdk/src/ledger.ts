/**
 * The ledger: in which rounds of which tasks this browser's visitor has taken part, and what that
 * has cost in privacy. Kept in the browser, sent to nobody.
 */

import { noteIfPossible, Notes } from "./notes.ts";

/** Epsilon is told at this delta: well below one over the number of people in any cohort. */
export const LEDGER_DELTA = 1e-5;

/** One round in which an update of the visitor's left the tab. */
export interface Participation {
  readonly round: string;
  readonly task: string;
  readonly name: string;
  /** ISO 8601, UTC. */
  readonly time: string;
  /** The version that was trained from. */
  readonly version: number;
  /** Tabs in the cohort: those the task asks for, or those that there were once it is published. */
  readonly cohortSize: number;
  /** `uploaded` where the end of the round was not seen: it counts as if it had been published. */
  readonly outcome: "uploaded" | "published";
  /** Standard deviation of the noise over the clip norm; 0 is none. */
  readonly noiseMultiplier: number;
  /** Of all participations in the task up to this one, at `delta`; `null` where nothing bounds it. */
  readonly epsilon: number | null;
  readonly delta: number;
}

/** What the ledger says of one task. */
export interface TaskLedger {
  readonly task: string;
  readonly name: string;
  readonly participations: readonly Participation[];
  readonly noiseMultiplier: number;
  readonly epsilon: number | null;
  readonly delta: number;
  /** In words. */
  readonly statement: string;
}

/** The entries by task, the one with the newest entry first. */
export function ledgerOf(entries: readonly Participation[]): TaskLedger[] {
  const inOrder = [...entries].sort((one, other) => one.time.localeCompare(other.time));
  const tasks = new Map<string, Participation[]>();
  for (const entry of inOrder) tasks.set(entry.task, [...(tasks.get(entry.task) ?? []), entry]);
  const ledgers = [...tasks.values()].flatMap((participations) => {
    const last = participations[participations.length - 1];
    if (last === undefined) return [];
    const { task, name, noiseMultiplier, delta } = last;
    const epsilon = worstOf(participations);
    return [{ task, name, participations, noiseMultiplier, epsilon, delta, statement: lossInWords(epsilon, delta) }];
  });
  return ledgers.reverse();
}

/** One participation without a bound leaves all of them without one. */
function worstOf(participations: readonly Participation[]): number | null {
  const all = participations.map((entry) => entry.epsilon);
  return all.includes(null) ? null : Math.max(...(all as number[]));
}

/** Epsilon and delta as a sentence's part. */
export function lossInWords(epsilon: number | null, delta: number): string {
  if (epsilon === null) return "no differential privacy";
  return `(${epsilon.toPrecision(3)}, ${delta})-differential privacy`;
}

/** What is said of the noise on a sum. */
export function noiseInWords(noiseMultiplier: number): string {
  if (noiseMultiplier === 0) return "no noise: no differential privacy";
  return `Skellam noise made by the clients, at least ${noiseMultiplier} times the clip norm`;
}

/** Epsilon of so many participations in a task with this status, by the protocol module. */
export type EpsilonOf = (status: Uint8Array, participations: number, delta: number) => number | undefined;

/** Writes the ledger. */
export class LedgerBook {
  readonly #notes: Promise<Notes | null>;
  readonly #epsilonOf: EpsilonOf;

  constructor(notes: Promise<Notes | null>, epsilonOf: EpsilonOf) {
    this.#notes = notes;
    this.#epsilonOf = epsilonOf;
  }

  /** An update is about to leave, for the task with these status bytes. */
  begin(entry: Omit<Participation, "time" | "outcome" | "epsilon" | "delta">, status: Uint8Array): Promise<void> {
    return noteIfPossible(this.#notes, async (notes) => {
      const earlier = await notes.all<Participation>("ledger");
      const count = 1 + earlier.filter(({ task, round }) => task === entry.task && round !== entry.round).length;
      const delta = LEDGER_DELTA;
      const epsilon = this.#epsilonOf(status, count, delta) ?? null;
      const time = new Date().toISOString();
      await notes.put("ledger", { ...entry, time, outcome: "uploaded", epsilon, delta } satisfies Participation);
    });
  }

  /** The round has ended. */
  published(round: string, cohortSize: number): Promise<void> {
    const change = (entry: Participation): Participation => ({ ...entry, cohortSize, outcome: "published" });
    return noteIfPossible(this.#notes, (notes) => notes.changeRound("ledger", round, change));
  }
}

/** The ledger that is kept in this browser. */
export async function keptLedger(): Promise<TaskLedger[]> {
  const notes = await Notes.openExisting();
  if (notes === null) return [];
  try {
    return ledgerOf(await notes.all<Participation>("ledger"));
  } finally {
    notes.close();
  }
}
