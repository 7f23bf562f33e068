/** A Vite app that takes part: the SDK comes from its npm package, the rest is this file. */

import type { ChoirEvent, TaskSummary } from "@choir/sdk";
import { asChoirError, createChoir, DEFAULT_POLICY, DEMO_POLICY, parseExamples, sentence } from "@choir/sdk";

const { VITE_CHOIR_AGGREGATOR, VITE_CHOIR_TASK, VITE_CHOIR_POLICY, VITE_CHOIR_ENGINE } = import.meta.env;

const choir = createChoir({
  aggregator: VITE_CHOIR_AGGREGATOR ?? "http://127.0.0.1:8787",
  policy: VITE_CHOIR_POLICY === "demo" ? DEMO_POLICY : DEFAULT_POLICY,
  engine: VITE_CHOIR_ENGINE ?? "auto",
  ...(VITE_CHOIR_TASK === undefined ? {} : { task: VITE_CHOIR_TASK }),
});
let task: TaskSummary | null = null;

const consent = element("consent", HTMLInputElement);
const join = element("join", HTMLButtonElement);
const state = element("state", HTMLElement);
const answer = element("answer", HTMLElement);

consent.addEventListener("change", () => void describe());
join.addEventListener("click", () => void takePart());
element("ask", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  void ask(element("question", HTMLInputElement).value);
});

/** Nothing is loaded before the visitor has agreed. */
async function describe(): Promise<void> {
  if (!consent.checked || task !== null) return;
  try {
    task = await choir.describe();
    join.disabled = task === null;
    element("labels", HTMLElement).textContent = `Labels: ${task?.labels.join(", ") ?? "none yet"}`;
  } catch (thrown) {
    state.textContent = asChoirError(thrown).message;
  }
}

async function takePart(): Promise<void> {
  if (task === null || !consent.checked) return;
  const { examples } = parseExamples(element("text", HTMLTextAreaElement).value, task.labels);
  join.disabled = true;
  try {
    for await (const event of await choir.join({ examples })) show(event);
  } catch (thrown) {
    state.textContent = asChoirError(thrown).message;
  }
}

function show(event: ChoirEvent): void {
  const text = sentence(event);
  if (text !== null) state.textContent = text;
  if (event.kind === "step") element("progress", HTMLProgressElement).value = event.step / event.steps;
  if (event.kind === "round") {
    const item = document.createElement("li");
    item.textContent = text;
    element("rounds", HTMLElement).append(item);
  }
}

async function ask(text: string): Promise<void> {
  try {
    const { labels, version } = await choir.predict(text, {
      onEvent: (event) => (answer.textContent = sentence(event) ?? answer.textContent),
    });
    answer.textContent = `${labels[0]?.label} (${Math.round(100 * (labels[0]?.probability ?? 0))} %), by version ${version}`;
  } catch (thrown) {
    answer.textContent = asChoirError(thrown).message;
  }
}

function element<E extends HTMLElement>(id: string, kind: abstract new () => E): E {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}
