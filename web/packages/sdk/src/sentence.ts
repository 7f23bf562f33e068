/** One sentence for an event, for pages that show no more than where the visitor stands. */

import type { ChoirEvent } from "./events.ts";

/** English text for people; `null` for events that change nothing of what is shown. */
export function sentence(event: ChoirEvent): string | null {
  switch (event.kind) {
    case "download":
      return `Loading the ${event.file}${percent(event.loaded, event.total)}.`;
    case "preparing":
      return `Preparing the engine: ${event.ready} of ${event.kernels} kernels are ready.`;
    case "training":
      return event.from === 0
        ? `Training from version ${event.version}.`
        : `Training goes on behind step ${event.from} of ${event.steps}.`;
    case "step":
      return `Training: step ${event.step} of ${event.steps}, loss ${event.loss.toFixed(3)}.`;
    case "paused":
      return `Paused behind step ${event.step} of ${event.steps}: ${event.reason}.`;
    case "resumed":
      return `Training goes on behind step ${event.step} of ${event.steps}.`;
    case "waiting":
      return `Waiting for ${event.reason}.`;
    case "joining":
      return "Joining a cohort.";
    case "lobby":
      return `Waiting for a cohort: ${event.joined} of ${event.cohortSize} have joined.`;
    case "phase":
      return event.phase === "enroll" ? null : "Adding up the masked updates of the cohort.";
    case "connection":
      return event.state === "lost" ? "The connection was lost; trying again." : "Connected again.";
    case "retrain":
      return `Training again: ${event.reason}.`;
    case "round":
      return `Version ${event.version} is out: ${event.survivors} visitors made it.`;
    case "stopped":
      return `Ended: ${event.message}.`;
    default:
      return null;
  }
}

function percent(loaded: number, total: number | null): string {
  return total === null || total === 0 ? "" : `: ${Math.floor((100 * loaded) / total)} %`;
}
