/**
 * What to say where the aggregator does not answer as one: what is wrong, and what a site owner
 * can do about it. Browsers tell scripts little of a refused request, so each likely cause is named.
 */

import { ChoirError } from "./errors.ts";

/** Where the aggregator is said to be, and the page that asks. */
export interface Parties {
  /** The aggregator's address without a slash at its end. */
  readonly aggregator: string;
  /** The page's own origin. */
  readonly page: string;
}

/** An answer that is no success. `body` is its text, as far as it is text. */
export function refusal(parties: Parties, path: string, status: number, body: string): ChoirError {
  const { aggregator, page } = parties;
  const word = body.trim();
  if (status === 403 && word === "origin-not-allowed") {
    const remedy = `its operator must add ${page} to ALLOWED_ORIGINS (on the development server: --allowed-origins)`;
    return new ChoirError("origin-refused", `the aggregator ${aggregator} does not take calls from pages of ${page}: ${remedy}`);
  }
  if (word === "unknown-task") {
    const task = path.split("/")[3] ?? "";
    return new ChoirError("bad-task", `the aggregator ${aggregator} has no task ${task}: check the option \`task\``);
  }
  if (status === 404) return notAnAggregator(parties, `it answered 404 to ${path}`);
  return new ChoirError("network", `the aggregator ${aggregator} answered ${status} to ${path}`);
}

/** Something answers there, but not as an aggregator does. */
export function notAnAggregator({ aggregator }: Parties, because: string): ChoirError {
  return new ChoirError("network", `${aggregator} is no Choir aggregator (${because}): check the option \`aggregator\``);
}

/** No answer at all. */
export function unreachable({ aggregator, page }: Parties, reason: string): ChoirError {
  const socket = aggregator.replace(/^http/, "ws");
  const allowed = ` by \`connect-src ${aggregator} ${socket}\`, and that the aggregator's ALLOWED_ORIGINS list ${page}`;
  return new ChoirError(
    "network",
    `the aggregator ${aggregator} cannot be reached (${reason}): check the option \`aggregator\` and that it runs, ` +
      `and that the page's Content-Security-Policy allows it${aggregator === page ? "" : allowed}`,
  );
}
