/** The demo page: reads the visitor's wishes, runs one session, shows what it tells. */

import type { ChoirEvent, EngineKind, EngineWish, Session } from "@choir/sdk";
import { asChoirError, createChoir, DEFAULT_POLICY } from "@choir/sdk";
import { DataInput } from "./data_input.ts";
import { byId, make, percent, setText } from "./dom.ts";
import { exposeProbe } from "./probe.ts";
import { readSettings } from "./settings.ts";
import type { DemoState } from "./state.ts";
import { FIRST_STATE, fold } from "./state.ts";
import { render, renderLosses } from "./view.ts";
import { asCsv, MOST_VISITORS, sampleShare, SimulatedVisitors } from "./visitors.ts";

const settings = readSettings(new URLSearchParams(location.search));
const options = {
  policy: settings.policy,
  ...(settings.task === null ? {} : { task: settings.task }),
};

let state: DemoState = FIRST_STATE;
let session: Session | null = null;
const events: ChoirEvent[] = [];

const consent = byId("consent", HTMLInputElement);
const start = byId("start", HTMLButtonElement);
const engine = byId("engine", HTMLSelectElement);
const data = new DataInput(() => update({ refusedLines: data.refused }));
const visitors = new SimulatedVisitors(options);
let choir = createChoir({ ...options, engine: settings.engine });

exposeProbe(() => state, events);
sayPolicy();
chooseEngine(settings.engine);
consent.addEventListener("change", () => void ask());
byId("sample", HTMLButtonElement).addEventListener("click", () => void useSample());
byId("data-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  void begin();
});
byId("leave", HTMLButtonElement).addEventListener("click", () => session?.leave());
byId("switch-engine", HTMLButtonElement).addEventListener("click", () => void switchEngine());
byId("add-visitors", HTMLButtonElement).addEventListener("click", () => void addVisitors());
byId("try-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  void classify();
});
show();

/** The visitor opted in: only now is anything asked of the aggregator. */
async function ask(): Promise<void> {
  if (!consent.checked) {
    show();
    return;
  }
  if (state.task !== null) {
    show();
    return;
  }
  update({ stage: "asking", problem: null });
  try {
    const task = await choir.describe();
    if (task === null) throw new Error("This site has no task to take part in yet.");
    update({ stage: "ready", task });
    data.setLabels(task.labels);
    byId("visitor-count", HTMLInputElement).value = String(Math.max(1, task.cohortSize - 1));
  } catch (thrown) {
    consent.checked = false;
    choir.close();
    choir = createChoir({ ...options, engine: settings.engine });
    update({ stage: "reading", problem: asChoirError(thrown).message });
  }
}

async function useSample(): Promise<void> {
  if (state.task === null) return;
  const examples = await sampleShare(0, state.task.labels);
  if (examples.length > 0) data.setText(asCsv(examples));
  else setText(byId("data-report", HTMLElement), "The sample data has none of this task's labels.");
}

async function begin(): Promise<void> {
  if (!canStart()) return;
  if (session !== null) startAnew();
  update({ stage: "loading" });
  byId("training-title", HTMLElement).scrollIntoView({ block: "start" });
  const { heldOut, seed } = settings;
  const join = { examples: data.examples, engine: engine.value as EngineWish, heldOut };
  try {
    session = await choir.join(seed === null ? join : { ...join, seed });
    for await (const event of session) take(event);
  } catch (thrown) {
    const { code, message } = asChoirError(thrown);
    take({ kind: "stopped", reason: "failed", code, message });
  }
}

function canStart(): boolean {
  const free = state.stage === "ready" || state.stage === "stopped";
  return free && consent.checked && data.examples.length > 0;
}

/** After a session has ended: another thread, and nothing shown of the last one. */
function startAnew(): void {
  choir.close();
  choir = createChoir({ ...options, engine: settings.engine });
  const { task, refusedLines, history, sent } = state;
  update({ ...FIRST_STATE, task, refusedLines, history, sent });
}

function take(event: ChoirEvent): void {
  events.push(event);
  update(fold(state, event));
  if (event.kind === "step" || event.kind === "task") renderLosses(state);
}

async function switchEngine(): Promise<void> {
  const other: EngineKind = state.engine === "cpu" ? "webgpu" : "cpu";
  chooseEngine(other);
  await session?.useEngine(other);
}

async function addVisitors(): Promise<void> {
  if (state.task === null) return;
  const count = Number(byId("visitor-count", HTMLInputElement).value);
  const wish = (state.engine ?? engine.value) as EngineWish;
  await visitors.add(Math.min(MOST_VISITORS, Math.max(1, Math.floor(count) || 1)), state.task.labels, wish);
}

async function classify(): Promise<void> {
  const text = byId("try-text", HTMLInputElement).value.trim();
  if (session === null || text === "") return;
  const result = byId("try-result", HTMLElement);
  const note = byId("try-note", HTMLElement);
  try {
    const { labels, version } = await session.classify(text);
    result.replaceChildren(...labels.slice(0, 5).map(bar));
    setText(note, `By the model in this tab, which started from version ${version}; training in progress is included.`);
  } catch (thrown) {
    result.replaceChildren();
    setText(note, `Not possible right now: ${asChoirError(thrown).message}.`);
  }
}

function bar({ label, probability }: { label: string; probability: number }): HTMLElement {
  const item = make("li");
  const meter = document.createElement("meter");
  meter.max = 1;
  meter.value = probability;
  meter.setAttribute("aria-hidden", "true");
  item.append(make("span", label), meter, make("span", percent(probability)));
  return item;
}

/** The page's text is for the demo's policy; an address can ask for the production default. */
function sayPolicy(): void {
  if (settings.policy !== DEFAULT_POLICY) return;
  const note = byId("policy-note", HTMLElement);
  setText(note, "By its address this page keeps to the production default: at least 50 tabs in a cohort, one update per visitor. Tasks with smaller cohorts are refused.");
}

function chooseEngine(wish: EngineWish): void {
  if (![...engine.options].some((option) => option.value === wish)) engine.add(new Option(wish, wish));
  engine.value = wish;
}

function update(change: Partial<DemoState>): void {
  state = { ...state, ...change };
  show();
}

function show(): void {
  const { task, stage, problem } = state;
  const waiting = stage === "ready" || stage === "stopped";
  start.disabled = !canStart();
  setText(start, stage === "stopped" ? "Start again" : "Start training");
  byId("sample", HTMLButtonElement).disabled = !waiting || !consent.checked;
  consent.disabled = stage !== "reading" && stage !== "ready";
  engine.disabled = stage !== "reading" && !waiting;
  setText(byId("start-note", HTMLElement), startNote());
  const line = byId("task-line", HTMLElement);
  line.classList.toggle("problem", problem !== null);
  if (problem !== null) setText(line, problem);
  else if (stage === "asking") setText(line, "Asking for the task.");
  else if (task !== null) showTask(line);
  byId("try", HTMLButtonElement).disabled = state.examples === null;
  render(state);
}

function showTask(line: HTMLElement): void {
  const { task } = state;
  const list = byId("labels", HTMLElement);
  if (task === null || !list.hidden) return;
  const { name, labels, version, cohortSize } = task;
  setText(line, `Task "${name}": ${labels.length} labels, version ${version} of the model, ${cohortSize} tabs in a cohort.`);
  list.replaceChildren(...labels.map((label) => make("li", label)));
  list.hidden = false;
}

function startNote(): string {
  if (state.stage !== "reading" && state.stage !== "ready") return "";
  if (!consent.checked) return "Opt in first: tick the box.";
  return data.examples.length === 0 ? "Add at least one example." : "";
}

addEventListener("pagehide", () => visitors.close());
