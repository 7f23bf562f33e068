/** The popup, which is also the options page: shows the storage and the progress, sends commands. */

import type { EngineWish } from "@choir/sdk";
import { inWords, siteOf } from "./collection.ts";
import { GoingOn } from "./going_on.ts";
import type { Answer, Command, Progress, Settings } from "./messages.ts";
import { PROGRESS_PORT } from "./messages.ts";
import { read } from "./storage.ts";

const consent = element("consent", HTMLInputElement);
const site = element("site", HTMLInputElement);
const join = element("join", HTMLButtonElement);
const leave = element("leave", HTMLButtonElement);
const problem = element("problem", HTMLElement);
const goingOn = new GoingOn((continuation, note) => {
  element("continuation", HTMLElement).textContent = continuation;
  element("continuation-note", HTMLElement).textContent = note;
});
let isWatching = false;
let whileIdle = "Not taking part.";

consent.addEventListener("change", () => void send({ to: "background", kind: "consent", given: consent.checked }));
join.addEventListener("click", () => void send({ to: "background", kind: "join" }));
leave.addEventListener("click", () => void send({ to: "background", kind: "leave" }));
element("forget", HTMLButtonElement).addEventListener("click", () => void send({ to: "background", kind: "forget" }));
onSubmit("site-form", () => void send({ to: "background", kind: "site", site: site.value, isUsed: true }));
onSubmit("go-on", () => void goOn());
onSubmit("settings", () => void send({ to: "background", kind: "settings", settings: typedSettings() }));
chrome.storage.onChanged.addListener(() => void showStored());

watch();
void showStored(true);
void proposeSite();

async function goOn(): Promise<void> {
  const { task, settings } = await read();
  const text = element("beginning", HTMLTextAreaElement).value;
  if (task?.payload === "language" && text.trim() !== "") await goingOn.goOn(text, task, settings);
}

async function send(command: Command): Promise<void> {
  problem.textContent = "";
  // Another task, or none, is another model.
  if (command.kind === "consent" || command.kind === "settings" || command.kind === "forget") goingOn.close();
  if (command.kind === "consent" && command.given) element("task", HTMLElement).textContent = "Asking for the task.";
  const { problem: found } = (await chrome.runtime.sendMessage(command)) as Answer;
  await showStored();
  if (found !== null) problem.textContent = found;
  whileIdle = command.kind === "forget" && found === null ? "Everything is forgotten." : "Not taking part.";
  watch();
}

/** Opening the popup lets it see the address of the page below, and only that. */
async function proposeSite(): Promise<void> {
  const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
  site.value = siteOf(tab?.url) ?? "";
}

/** Hears of the training, where there is one. */
function watch(): void {
  if (isWatching) return;
  isWatching = true;
  const port = chrome.runtime.connect({ name: PROGRESS_PORT });
  port.onMessage.addListener((message) => show(message as Progress));
  port.onDisconnect.addListener(() => {
    // Reading it tells the browser that this is expected: nobody may be training.
    void chrome.runtime.lastError;
    isWatching = false;
    show({ isRunning: false, text: whileIdle, problem: null, rounds: [] });
  });
}

function show({ isRunning, text, problem: found, rounds }: Progress): void {
  element("state", HTMLElement).textContent = text;
  if (found !== null) problem.textContent = found;
  join.disabled = isRunning;
  leave.disabled = !isRunning;
  element("rounds", HTMLElement).replaceChildren(...rounds.map((round) => item(round)));
}

async function showStored(withSettings = false): Promise<void> {
  const { hasConsent, sites, examples, settings, task, notice } = await read();
  consent.checked = hasConsent;
  const about = task === null ? "Nothing has been loaded." : `Task "${task.name}"; a cohort has ${task.cohortSize} visitors.`;
  element("task", HTMLElement).textContent = about;
  const isWriting = task?.payload === "language";
  element("how-labelled", HTMLElement).hidden = isWriting;
  for (const id of ["how-plain", "going-on"]) element(id, HTMLElement).hidden = !isWriting;
  if (notice !== null) problem.textContent = notice;
  const command = (known: string): Command => ({ to: "background", kind: "site", site: known, isUsed: false });
  element("sites", HTMLElement).replaceChildren(...sites.map((known) => item(known, "No longer", () => send(command(known)))));
  element("examples", HTMLElement).replaceChildren(
    ...examples.map((example) => item(inWords(example), "Delete", () => send({ to: "background", kind: "remove", id: example.id }))),
  );
  if (!withSettings) return;
  element("aggregator", HTMLInputElement).value = settings.aggregator;
  element("task-id", HTMLInputElement).value = settings.task;
  element("engine", HTMLSelectElement).value = settings.engine;
  element("policy", HTMLSelectElement).value = settings.policy;
}

function typedSettings(): Settings {
  return {
    aggregator: element("aggregator", HTMLInputElement).value.trim(),
    task: element("task-id", HTMLInputElement).value.trim(),
    engine: element("engine", HTMLSelectElement).value as EngineWish,
    policy: element("policy", HTMLSelectElement).value === "demo" ? "demo" : "default",
  };
}

function item(text: string, action?: string, act?: () => unknown): HTMLLIElement {
  const made = document.createElement("li");
  made.textContent = text;
  if (action !== undefined && act !== undefined) {
    const button = document.createElement("button");
    button.textContent = action;
    button.addEventListener("click", () => void act());
    made.append(button);
  }
  return made;
}

function onSubmit(form: string, act: () => void): void {
  element(form, HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

function element<E extends HTMLElement>(id: string, kind: abstract new () => E): E {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}
