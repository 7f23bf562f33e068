/** The demo page: reads the visitor's wishes, runs one session, shows what it tells. */

import type { ChoirEvent, EngineKind, EngineWish, Session } from "@choir/sdk";
import { asChoirError, createChoir, DEFAULT_PAUSES, DEFAULT_POLICY, trustInWords } from "@choir/sdk";
import { DataInput } from "./data_input.ts";
import { byId, make, percent, setText } from "./dom.ts";
import { exposeProbe } from "./probe.ts";
import { PrivacyCard } from "./privacy.ts";
import { readSettings } from "./settings.ts";
import type { DemoState } from "./state.ts";
import { FIRST_STATE, fold } from "./state.ts";
import { render, renderLosses } from "./view.ts";
import { asText, MOST_VISITORS, sampleShare, SimulatedVisitors } from "./visitors.ts";
import { WritingCard } from "./writing_card.ts";

const settings = readSettings(new URLSearchParams(location.search));
const options = {
  policy: settings.policy,
  ...(settings.task === null ? {} : { task: settings.task }),
  ...(settings.threads === null ? {} : { cpuThreads: settings.threads }),
};

let state: DemoState = FIRST_STATE;
let session: Session | null = null;
/** Whether anything was ever asked of the aggregator. */
let hasAsked = false;
const events: ChoirEvent[] = [];

const consent = byId("consent", HTMLInputElement);
const refuse = byId("refuse", HTMLButtonElement);
const keep = byId("keep", HTMLInputElement);
const pause = byId("pause", HTMLInputElement);
const start = byId("start", HTMLButtonElement);
const engine = byId("engine", HTMLSelectElement);
const data = new DataInput(() => update({ refusedLines: data.refused }));
const visitors = new SimulatedVisitors(options);
let choir = createChoir({ ...options, engine: settings.engine });
const privacy = new PrivacyCard(() => choir);
const writing = new WritingCard({
  choir: () => choir,
  engine: () => engine.value as EngineWish,
  learn: (text) => data.add(text),
  asked: () => privacy.changed(),
});

exposeProbe(() => state, events);
sayPolicy();
speakOf(settings.isWriting);
chooseEngine(settings.engine);
consent.addEventListener("change", () => void ask());
refuse.addEventListener("click", sayNo);
byId("go-on", HTMLButtonElement).addEventListener("click", () => void goOn());
byId("forget", HTMLButtonElement).addEventListener("click", () => void forget());
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
void showUnfinished();

/** The visitor said no: what may have begun ends, and nothing more is loaded. */
function sayNo(): void {
  consent.checked = false;
  choir.close();
  choir = createChoir({ ...options, engine: settings.engine });
  update({ stage: "refused", task: null, problem: null });
  writing.open(null);
  hideTask();
}

/** Says what a reload has interrupted. This is read from the browser and asks nobody. */
async function showUnfinished(): Promise<void> {
  const found = await choir.unfinished();
  byId("unfinished", HTMLElement).hidden = found === null || state.stage !== "reading";
  if (found === null) return;
  const { step, steps, examples } = found;
  const next = examples === null ? " Give the same examples again, and it goes on from there." : "";
  setText(byId("unfinished-line", HTMLElement), `A training was interrupted after step ${step} of ${steps}.${next}`);
}

/** Opts in, and goes on with the examples that were kept, if they were. */
async function goOn(): Promise<void> {
  const found = await choir.unfinished();
  consent.checked = true;
  await ask();
  if (found === null || found.examples === null || state.task?.task !== found.task) return;
  keep.checked = true;
  data.setText(asText(found.examples));
  await begin();
}

/** Leaves, and deletes everything that is kept in this browser. */
async function forget(): Promise<void> {
  const note = byId("forget-note", HTMLElement);
  session = null;
  visitors.close();
  try {
    await choir.forget();
    setText(note, "Forgotten: nothing of Choir is left in this browser.");
  } catch (thrown) {
    setText(note, `${asChoirError(thrown).message}. Close the other tabs of this site and try again.`);
  }
  choir = createChoir({ ...options, engine: settings.engine });
  consent.checked = false;
  keep.checked = false;
  writing.open(null);
  hideTask();
  update(FIRST_STATE);
  data.setText("");
  await privacy.refresh();
}

/** The visitor opted in: only now is anything asked of the aggregator. */
async function ask(): Promise<void> {
  byId("unfinished", HTMLElement).hidden = true;
  if (!consent.checked) {
    show();
    return;
  }
  if (state.task !== null) {
    show();
    return;
  }
  hasAsked = true;
  update({ stage: "asking", problem: null });
  const asked = choir;
  try {
    const task = await asked.describe();
    if (task === null) throw new Error("This site has no task to take part in yet.");
    if (asked !== choir) return;
    update({ stage: "ready", task });
    data.setLabels(task.labels);
    speakOf(task.payload === "language");
    writing.open(task);
    byId("visitor-count", HTMLInputElement).value = String(Math.max(1, task.cohortSize - 1));
  } catch (thrown) {
    if (asked !== choir) return;
    consent.checked = false;
    choir.close();
    choir = createChoir({ ...options, engine: settings.engine });
    update({ stage: "reading", problem: asChoirError(thrown).message });
  }
  privacy.changed();
}

async function useSample(): Promise<void> {
  if (state.task === null) return;
  const examples = await sampleShare(0, state.task.labels);
  if (examples.length > 0) data.setText(asText(examples));
  else setText(byId("data-report", HTMLElement), "The sample data has none of this task's labels.");
}

async function begin(): Promise<void> {
  if (!canStart()) return;
  if (session !== null) startAnew();
  update({ stage: "loading" });
  byId("training-title", HTMLElement).scrollIntoView({ block: "start" });
  const { heldOut, seed } = settings;
  const join = { examples: data.examples, engine: engine.value as EngineWish, heldOut, keepExamples: keep.checked, pauseWhile: pause.checked ? DEFAULT_PAUSES : [] };
  try {
    const joined = await choir.join(seed === null ? join : { ...join, seed });
    session = joined;
    for await (const event of joined) {
      // Forgotten meanwhile.
      if (session !== joined) return;
      take(event);
    }
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
  writing.threadEnded();
  choir = createChoir({ ...options, engine: settings.engine });
  const { task, refusedLines, history, sent } = state;
  update({ ...FIRST_STATE, task, refusedLines, history, sent });
}

function take(event: ChoirEvent): void {
  events.push(event);
  update(fold(state, event));
  if (event.kind === "step" || event.kind === "task") renderLosses(state);
  if (event.kind === "sent" || event.kind === "round") privacy.changed();
  if (event.kind === "joining" || event.kind === "round") void writing.renew(session, event.kind === "round");
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

/** Shows what the page says of one kind of task, and hides what it says of the other. */
function speakOf(isWriting: boolean): void {
  for (const element of document.querySelectorAll<HTMLElement>("[data-for]")) {
    element.hidden = element.dataset["for"] !== (isWriting ? "writing" : "intents");
  }
  byId("session", HTMLElement).classList.toggle("writes", isWriting);
  if (isWriting) byId("text", HTMLTextAreaElement).placeholder = "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate.";
}

/** The page's text is for the demo's policy; an address can ask for the production default. */
function sayPolicy(): void {
  if (settings.policy.minCohort !== DEFAULT_POLICY.minCohort) return;
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
  const before = stage === "reading" || stage === "refused" || stage === "ready";
  consent.disabled = !before;
  refuse.disabled = !before && stage !== "asking";
  pause.disabled = keep.disabled = stage !== "reading" && !waiting;
  setText(byId("refuse-note", HTMLElement), stage === "refused" ? refusal() : "");
  engine.disabled = stage !== "reading" && stage !== "refused" && !waiting;
  setText(byId("start-note", HTMLElement), startNote());
  const line = byId("task-line", HTMLElement);
  line.classList.toggle("problem", problem !== null);
  if (problem !== null) setText(line, problem);
  else if (stage === "asking") setText(line, "Asking for the task.");
  else if (task !== null) showTask(line);
  byId("try", HTMLButtonElement).disabled = state.examples === null;
  render(state);
}

function refusal(): string {
  const loaded = hasAsked ? "Nothing more is loaded, and nothing was given." : "Nothing was loaded but this page, and nothing will be.";
  return `${loaded} You can change your mind by the box above.`;
}

function hideTask(): void {
  byId("labels", HTMLElement).hidden = true;
  byId("two-aggregators", HTMLElement).hidden = true;
}

function showTask(line: HTMLElement): void {
  const { task } = state;
  const list = byId("labels", HTMLElement);
  if (task === null || !list.hidden) return;
  const { name, labels, version, cohortSize } = task;
  setText(line, `Task "${name}": ${labels.length === 0 ? "plain text" : `${labels.length} labels`}, version ${version} of the model, ${cohortSize} tabs in a cohort.`);
  list.replaceChildren(...labels.map((label) => make("li", label)));
  list.hidden = false;
  const trust = trustInWords(task.helper);
  const note = byId("two-aggregators", HTMLElement);
  note.hidden = trust === null;
  setText(note, trust ?? "");
}

function startNote(): string {
  if (state.stage !== "reading" && state.stage !== "refused" && state.stage !== "ready") return "";
  if (!consent.checked) return "Opt in first: tick the box.";
  return data.examples.length === 0 ? "Add at least one example." : "";
}

addEventListener("pagehide", () => visitors.close());
