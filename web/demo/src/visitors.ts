/** Simulated visitors: each in a training thread of its own, with its own share of the sample. */

import type { Choir, ChoirEvent, ChoirOptions, EngineWish, Example } from "@choir/sdk";
import { createChoir, parseExamples } from "@choir/sdk";
import { byId, make, setText } from "./dom.ts";

/** Every fourth message of the sample is the visitor's own; the rest is dealt to those simulated. */
const OWN_EVERY = 4;
/** As many visitors as can be added before shares repeat. */
export const MOST_VISITORS = 11;

/** Nothing is counted against the visitor for those who are simulated. */
const UNCOUNTED = { used: () => 0, add: () => undefined };

let sample: Promise<string> | null = null;

/**
 * One share of the sample data: 0 is the visitor's own, `k` that of simulated visitor `k`. Where a task
 * has no labels, it is the messages alone.
 */
export async function sampleShare(share: number, labels: readonly string[]): Promise<Example[]> {
  sample ??= fetch("sample/intents.csv").then((response) => response.text());
  const examples = labels.length === 0 ? messages(await sample) : parseExamples(await sample, labels).examples;
  if (share === 0) return examples.filter((_, index) => index % OWN_EVERY === 0);
  const others = examples.filter((_, index) => index % OWN_EVERY !== 0);
  return others.filter((_, index) => index % MOST_VISITORS === (share - 1) % MOST_VISITORS);
}

function messages(source: string): Example[] {
  const labels = new Set([...source.matchAll(/,(\w+)\r?$/gm)].map(([, label]) => label ?? ""));
  return parseExamples(source, [...labels]).examples.map(({ text }) => ({ text, label: "" }));
}

/** Examples as the text that a visitor could have typed: passages where they have no labels. */
export function asText(examples: readonly Example[]): string {
  if (examples.every(({ label }) => label === "")) return examples.map(({ text }) => text).join("\n\n");
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  return ["text,label", ...examples.map(({ text, label }) => `${quoted(text)},${quoted(label)}`)].join("\n");
}

/** Adds visitors and lists them; their numbers go on from those before. */
export class SimulatedVisitors {
  readonly #choirs: Choir[] = [];

  constructor(readonly options: ChoirOptions) {}

  async add(count: number, labels: readonly string[], engine: EngineWish): Promise<void> {
    for (let added = 0; added < count; added += 1) {
      const number = this.#choirs.length + 1;
      const choir = createChoir({
        ...this.options,
        engine,
        // They share the machine's cores as they are.
        cpuThreads: 1,
        uploadCount: UNCOUNTED,
        visitor: `simulated visitor ${number}`,
        records: false,
      });
      this.#choirs.push(choir);
      const state = this.#list(number);
      void this.#live(choir, number, labels, (text) => setText(state, text));
    }
  }

  close(): void {
    for (const choir of this.#choirs) choir.close();
  }

  #list(number: number): HTMLElement {
    const item = make("li");
    const state = make("span", "starting");
    item.append(make("span", `Simulated visitor ${number}`), state);
    byId("visitors", HTMLElement).append(item);
    return state;
  }

  async #live(
    choir: Choir,
    number: number,
    labels: readonly string[],
    tell: (text: string) => void,
  ): Promise<void> {
    try {
      const examples = await sampleShare(number, labels);
      if (examples.length === 0) return tell("has no sample text for this task's labels");
      const session = await choir.join({ examples, heldOut: { share: 0, most: 0 }, pauseWhile: [] });
      for await (const event of session) {
        const text = visitorLine(event);
        if (text !== null) tell(text);
      }
    } catch (thrown) {
      tell(thrown instanceof Error ? thrown.message : String(thrown));
    } finally {
      choir.close();
    }
  }
}

function visitorLine(event: ChoirEvent): string | null {
  switch (event.kind) {
    case "download":
      return "loads the model";
    case "preparing":
      return "prepares its engine";
    case "training":
      return `trains from version ${event.version}`;
    case "step":
      return `step ${event.step} of ${event.steps}, loss ${event.loss.toFixed(2)}`;
    case "lobby":
      return "is in the lobby";
    case "phase":
      return "takes part in the sum";
    case "round":
      return `helped to make version ${event.version}`;
    case "stopped":
      return event.message;
    default:
      return null;
  }
}
