/** One task on the page: its figures, its buttons, its rounds. Elements stay, so focus does too. */

import type { Report } from "./aggregator.ts";
import { chart } from "./chart.ts";

export interface TaskActions {
  start(task: string): void;
  stop(task: string): void;
}

export class TaskCard {
  readonly element = make("section", "card");
  readonly #title = make("h2");
  readonly #start = make("button");
  readonly #stop = make("button");
  readonly #figures = make("dl", "figures");
  readonly #reasons = make("ul", "reasons");
  readonly #chart = make("div", "chart");
  readonly #rows = document.createElement("tbody");
  #shown = "";

  constructor(task: string, actions: TaskActions) {
    this.#title.id = `task-${task}`;
    this.element.setAttribute("aria-labelledby", this.#title.id);
    this.element.dataset["task"] = task;
    for (const [button, label, act] of [
      [this.#start, "Start", actions.start],
      [this.#stop, "Stop", actions.stop],
    ] as const) {
      button.setAttribute("type", "button");
      button.textContent = label;
      button.setAttribute("aria-describedby", this.#title.id);
      button.addEventListener("click", () => act(task));
    }
    const buttons = make("div", "row");
    buttons.append(this.#start, this.#stop);
    const heading = make("div", "heading");
    heading.append(this.#title, buttons);
    const id = make("p", "quiet");
    id.append("Task ", make("code", "", task));
    this.element.append(heading, id, this.#figures, this.#reasons, this.#chart, this.#table());
  }

  /** Shows what has changed. */
  show(report: Report): void {
    const now = JSON.stringify(report);
    if (now === this.#shown) return;
    this.#shown = now;
    const { figures } = report;
    this.#title.textContent = `${figures.name} (${figures.state})`;
    this.#start.toggleAttribute("disabled", figures.state === "running" || figures.rounds_left === 0);
    this.#stop.toggleAttribute("disabled", figures.state === "stopped");
    this.#showFigures(report);
    this.#showReasons(report);
    this.#chart.replaceChildren(chart(report.history, report.evaluations));
    this.#showRounds(report);
  }

  #showFigures({ figures }: Report): void {
    const { totals } = figures;
    const sizes = figures.min_cohort === figures.cohort_size ? figures.cohort_size : `${figures.min_cohort} to ${figures.cohort_size}`;
    const shown: readonly [string, string, string | number][] = [
      ["version", "Version", figures.version],
      ["rounds-left", "Rounds left", figures.rounds_left],
      ["cohort", "Cohort", sizes],
      ["closed", "Rounds closed", totals.closed],
      ["joined", "Clients joined", totals.joined],
      ["survivors", "In a sum", totals.survivors],
      ["dropped", "Dropped out", totals.dropped],
    ];
    this.#figures.replaceChildren(
      ...shown.map(([key, name, value]) => {
        const pair = make("div");
        const number = make("dd", "", String(value));
        number.dataset["figure"] = key;
        pair.append(make("dt", "", name), number);
        return pair;
      }),
    );
  }

  #showReasons({ figures }: Report): void {
    const { aborted, refusals } = figures.totals;
    const lines = [
      ...Object.entries(aborted).map(([reason, count]) => `${count} rounds aborted: ${words(reason)}`),
      ...Object.entries(refusals).map(([code, count]) => `${count} messages refused: ${words(code)}`),
    ];
    this.#reasons.replaceChildren(...lines.map((line) => make("li", "", line)));
    this.#reasons.hidden = lines.length === 0;
  }

  #showRounds({ history, evaluations }: Report): void {
    const quality = new Map(evaluations.map((evaluation) => [evaluation.version, evaluation]));
    const rows = history.map((round) => {
      const version = round.version_before + 1;
      const known = quality.get(version);
      const row = document.createElement("tr");
      row.dataset["version"] = String(version);
      const head = make("th", "", String(version));
      head.setAttribute("scope", "row");
      row.append(head);
      const cells: readonly [string, string][] = [
        ["closed", new Date(round.closed_at).toLocaleString()],
        ["clients", String(round.clients)],
        ["dropped", String(round.dropped)],
        ["accuracy", known === undefined ? "not evaluated" : `${(known.accuracy * 100).toFixed(1)} %`],
        ["loss", known === undefined ? "" : known.loss.toFixed(3)],
        ["up", kilobytes(round.bytes_up)],
        ["down", kilobytes(round.bytes_down)],
      ];
      for (const [name, value] of cells) {
        const cell = make("td", "", value);
        cell.dataset["cell"] = name;
        row.append(cell);
      }
      return row;
    });
    this.#rows.replaceChildren(...rows.reverse());
  }

  #table(): HTMLElement {
    const table = document.createElement("table");
    table.append(make("caption", "", "Closed rounds, newest first"));
    const head = document.createElement("thead");
    const row = document.createElement("tr");
    for (const name of ["Version", "Closed", "Cohort", "Drop-outs", "Accuracy", "Loss", "Up", "Down"]) {
      const cell = make("th", "", name);
      cell.setAttribute("scope", "col");
      row.append(cell);
    }
    head.append(row);
    table.append(head, this.#rows);
    const scroll = make("div", "scroll");
    // What scrolls can be reached by keyboard.
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", "Rounds of the task");
    scroll.append(table);
    return scroll;
  }
}

const words = (name: string) => name.replaceAll("_", " ");

function kilobytes(bytes: number): string {
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function make(name: string, className = "", text = ""): HTMLElement {
  const element = document.createElement(name);
  if (className !== "") element.className = className;
  if (text !== "") element.textContent = text;
  return element;
}
