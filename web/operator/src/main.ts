/** The operator's page: asks for the secret, then shows every task and renews it while it is seen. */

import { CallError, Operator } from "./aggregator.ts";
import { TaskCard } from "./task_card.ts";

const REFRESH_MS = 3_000;

const form = byId("secret-form", HTMLFormElement);
const field = byId("secret", HTMLInputElement);
const forget = byId("forget", HTMLButtonElement);
const problem = byId("problem", HTMLElement);
const status = byId("status", HTMLElement);
const host = byId("tasks", HTMLElement);

let operator: Operator | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
const cards = new Map<string, TaskCard>();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  operator = new Operator(field.value.trim());
  field.value = "";
  void refresh();
});
forget.addEventListener("click", () => {
  leave();
  say("The secret is forgotten.");
  field.focus();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void refresh();
});

/** Everything that the secret opened goes with it. */
function leave(): void {
  operator = null;
  clearTimeout(timer);
  cards.clear();
  host.replaceChildren();
  forget.hidden = true;
}

async function refresh(): Promise<void> {
  const asked = operator;
  if (asked === null) return;
  clearTimeout(timer);
  try {
    const tasks = await asked.tasks();
    const reports = await Promise.all(tasks.map((task) => asked.report(task)));
    if (operator !== asked) return;
    for (const [index, task] of tasks.entries()) {
      const report = reports[index];
      if (report !== undefined) cardOf(task).show(report);
    }
    forget.hidden = false;
    complain("");
    say(tasks.length === 0 ? "There are no tasks yet: `cargo xtask task create` makes one." : `${tasks.length} ${tasks.length === 1 ? "task" : "tasks"}.`);
  } catch (thrown) {
    if (operator !== asked) return;
    failed(thrown);
  }
  if (operator !== null && !document.hidden) timer = setTimeout(() => void refresh(), REFRESH_MS);
}

function cardOf(task: string): TaskCard {
  const known = cards.get(task);
  if (known !== undefined) return known;
  const card = new TaskCard(task, {
    start: (one) => void act((by) => by.start(one), "The task was started."),
    stop: (one) => void act((by) => by.stop(one), "The task was stopped."),
  });
  cards.set(task, card);
  // The newest task stands first.
  host.prepend(card.element);
  return card;
}

async function act(call: (by: Operator) => Promise<void>, done: string): Promise<void> {
  if (operator === null) return;
  try {
    await call(operator);
    await refresh();
    say(done);
  } catch (thrown) {
    failed(thrown);
  }
}

function failed(thrown: unknown): void {
  if (thrown instanceof CallError && thrown.unauthorized) {
    leave();
    field.focus();
  }
  say("");
  complain(thrown instanceof Error ? thrown.message : String(thrown));
}

/** A live region speaks only of what changed. */
function say(text: string): void {
  if (status.textContent !== text) status.textContent = text;
}

function complain(text: string): void {
  if (problem.textContent !== text) problem.textContent = text;
}

function byId<T extends HTMLElement>(id: string, kind: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return element;
}
