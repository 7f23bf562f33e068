/** Shows a state. Nothing is decided here. */

import { drawLosses } from "./chart.ts";
import { byId, bytes, make, percent, setText } from "./dom.ts";
import type { DemoState } from "./state.ts";

const DEVICE_NAMES: Record<string, string> = { webgpu: "WebGPU", cpu: "the CPU" };
const STEP_NAMES: Record<string, string> = {
  share_keys: "The tabs exchange keys and sealed shares of them.",
  collect: "The masked updates are on their way.",
  confirm: "The tabs confirm whose updates are in the sum.",
  unmask: "The masks of the sum are removed.",
};

/** Shows the state of the session. */
export function render(state: DemoState): void {
  byId("session", HTMLElement).hidden = !hasStarted(state);
  setText(byId("status", HTMLElement), statusLine(state));
  showProgress(state);
  showEngine(state);
  showAccuracy(state);
  showRound(state);
  showHistory(state);
  showSent(state);
  const live = hasStarted(state) && state.stage !== "stopped";
  byId("leave", HTMLButtonElement).disabled = !live;
  byId("add-visitors", HTMLButtonElement).disabled = !live;
}

/** The chart is drawn only when there is a new point. */
export function renderLosses(state: DemoState): void {
  drawLosses(byId("chart", HTMLElement), state.losses);
  const last = state.losses[state.losses.length - 1];
  const time = state.step === null ? "" : `, ${Math.round(state.step.milliseconds)} ms a step`;
  setText(byId("loss-line", HTMLElement), last === undefined ? "" : `Loss ${last.loss.toFixed(3)}${time}`);
}

function hasStarted({ stage }: DemoState): boolean {
  return stage !== "reading" && stage !== "refused" && stage !== "asking" && stage !== "ready";
}

function statusLine(state: DemoState): string {
  switch (state.stage) {
    case "reading":
    case "refused":
    case "asking":
    case "ready":
      return "";
    case "loading":
      return state.download?.cached === false ? "Downloading the model" : "Preparing the model";
    case "training":
      return state.task?.payload === "centroids"
        ? "Averaging your examples, label by label"
        : `Training from version ${state.version ?? 0}`;
    case "waiting":
      return state.note ?? "Waiting";
    case "lobby":
      return "Your update is ready. Waiting for the others.";
    case "summing":
      return "Your update is being added to the sum";
    case "stopped":
      return stoppedLine(state);
    default:
      return state.stage satisfies never;
  }
}

function stoppedLine({ stopped }: DemoState): string {
  switch (stopped?.reason) {
    case "left":
      return "You have left.";
    case "task-finished":
      return "The task has had all its rounds. The model is yours to try below.";
    case "not-finite":
      return "Training went wrong: the loss is not a finite number. Nothing was uploaded.";
    default:
      return `Stopped: ${stopped?.message ?? ""}.`;
  }
}

function showProgress(state: DemoState): void {
  const bar = byId("progress", HTMLProgressElement);
  const label = byId("progress-label", HTMLElement);
  const { download, preparing, step } = state;
  if (state.stage === "loading" && preparing !== null) {
    bar.value = preparing.ready / preparing.kernels;
    setText(label, `${preparing.ready} of ${preparing.kernels} kernels ready`);
    return;
  }
  if (state.stage === "loading" && download !== null && download.total !== null) {
    bar.value = download.loaded / download.total;
    const source = download.cached ? "from this browser's cache" : "downloaded";
    setText(label, `${bytes(download.loaded)} of ${bytes(download.total)} ${source}`);
  } else if (state.stage === "training") {
    bar.value = step === null ? 0 : step.step / step.steps;
    setText(label, step === null ? "The first step takes the longest" : `Step ${step.step} of ${step.steps}`);
  } else if (state.stage === "loading") {
    bar.removeAttribute("value");
    setText(label, "Loading");
  } else {
    bar.value = 1;
    setText(label, state.stage === "stopped" ? "Finished" : "Local training done");
  }
}

function showEngine(state: DemoState): void {
  const line = byId("engine-line", HTMLElement);
  const button = byId("switch-engine", HTMLButtonElement);
  if (state.device === null) return;
  const reason = state.engineReason === null ? "" : ` (${state.engineReason})`;
  setText(line, `Trains on ${DEVICE_NAMES[state.device] ?? state.device}: ${state.adapter ?? "unnamed"}${reason}`);
  button.hidden = state.stage === "stopped";
  setText(button, state.engine === "cpu" ? "Use WebGPU instead" : "Use the CPU instead");
}

/** Of a text that is gone on with, how far off the model is; of texts with labels, how many are right. */
function measureOf(evaluation: DemoState["evaluations"][number] | undefined): string {
  if (evaluation === undefined) return "–";
  return evaluation.accuracy === null ? evaluation.loss.toFixed(2) : percent(evaluation.accuracy);
}

function showAccuracy({ evaluations, examples }: DemoState): void {
  const first = evaluations[0];
  const last = evaluations[evaluations.length - 1];
  setText(byId("accuracy-before", HTMLElement), measureOf(first));
  setText(byId("accuracy-now", HTMLElement), measureOf(last));
  if (examples === null) return;
  const cut =
    examples.truncated === 0
      ? ""
      : ` ${examples.truncated === 1 ? "1 text was" : `${examples.truncated} texts were`} cut to the task's ${examples.maxLength} tokens.`;
  const held =
    examples.heldOut === 0
      ? "You gave too few examples to set some aside, so nothing is measured."
      : `Measured on ${examples.heldOut} of your ${examples.heldOut + examples.training} examples, set aside and never trained on.`;
  setText(byId("accuracy-note", HTMLElement), held + cut);
}

function showRound(state: DemoState): void {
  setText(byId("round-line", HTMLElement), roundLine(state));
  for (const item of byId("phases", HTMLElement).querySelectorAll("li")) {
    if (item.dataset["phase"] === state.phase) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
}

function roundLine(state: DemoState): string {
  if (!state.connected) return "The connection was lost. Trying again.";
  if (state.lobby !== null && state.stage === "lobby") {
    const { joined, cohortSize, minCohort } = state.lobby;
    const least = minCohort < cohortSize ? ` (at least ${minCohort})` : "";
    return `${joined} of ${cohortSize} have joined${least}`;
  }
  const text = state.phase === null ? undefined : STEP_NAMES[state.phase];
  if (text !== undefined) return text;
  if (state.note !== null) return state.note;
  const { version, task } = state;
  if (version === null || task === null) return "";
  return state.history.length === 0 ? `The model is at version ${version}.` : `Version ${version} is out; your update is in it.`;
}

function showHistory({ history }: DemoState): void {
  const table = byId("rounds", HTMLTableElement);
  const body = table.tBodies[0];
  if (body === undefined || body.rows.length === history.length) return;
  table.hidden = false;
  for (const round of history.slice(body.rows.length)) {
    const cells = [
      String(round.version),
      `${round.survivors} of ${round.clients}`,
      bytes(round.bytesUp),
      bytes(round.bytesDown),
      round.msPerStep === null ? "–" : `${Math.round(round.msPerStep)} ms`,
    ];
    const row = make("tr");
    row.append(...cells.map((text) => make("td", text)));
    body.append(row);
  }
}

function showSent({ sent, stage }: DemoState): void {
  const requests = sent.filter((entry) => entry.what === "request").length;
  const masked = sent.filter((entry) => entry.masked);
  const total = (entries: typeof sent) => entries.reduce((sum, entry) => sum + entry.bytes, 0);
  const updates = `${masked.length} masked ${masked.length === 1 ? "update" : "updates"} (${bytes(total(masked))})`;
  const asked = `${requests} ${requests === 1 ? "request" : "requests"} for files and the state of the task, which carry nothing of yours`;
  let line = `In this session ${bytes(total(sent))} have left this tab: ${updates}, the rest keys, sealed shares and signatures; and ${asked}. None of your text.`;
  if (sent.length === 0) line = stage === "refused" ? "Nothing has left this tab." : "In this session nothing has left this tab yet.";
  setText(byId("sent-line", HTMLElement), line);
}
