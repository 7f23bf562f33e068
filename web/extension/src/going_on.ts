/**
 * The popup's try of a task that writes: how the model would go on with a text. It works in a thread of
 * the popup's own, which ends with it; nothing of the text leaves the browser.
 */

import type { Choir, EngineWish, TaskSummary, WritingAssistant } from "@choir/sdk";
import { asChoirError, createChoir } from "@choir/sdk";
import { choirOptions } from "./choir_options.ts";
import type { Settings } from "./messages.ts";

/** Models below this many bytes are faster on the CPU, where no kernel has to be sent for. */
const SMALL_MODEL = 16_000_000;

/** Shows one text as far as it has come. */
export type Show = (continuation: string, note: string) => void;

export class GoingOn {
  readonly #show: Show;
  #choir: Choir | null = null;
  #assistant: WritingAssistant | null = null;

  constructor(show: Show) {
    this.#show = show;
  }

  /** Goes on with a text by the newest global adapter. */
  async goOn(text: string, task: TaskSummary, settings: Settings): Promise<void> {
    const assistant = (this.#assistant ??= this.#open(task, settings));
    let last = "";
    try {
      for await (const suggestion of assistant.suggest(text)) {
        const adapter = suggestion.version === 0 ? "the base model" : `version ${suggestion.version}`;
        last = suggestion.text;
        this.#show(last, `By ${adapter}; nothing of this text has left the browser.`);
      }
      if (last.trim() === "") this.#show("", "The model would end the text here.");
    } catch (thrown) {
      this.close();
      this.#show("", `Not possible right now: ${asChoirError(thrown).message}.`);
    }
  }

  /** Ends its thread: another task, or everything forgotten. */
  close(): void {
    this.#choir?.close();
    this.#choir = this.#assistant = null;
  }

  #open(task: TaskSummary, settings: Settings): WritingAssistant {
    const engine: EngineWish = task.weightsBytes < SMALL_MODEL ? "cpu" : settings.engine;
    this.#choir = createChoir({ ...choirOptions(settings), task: task.task });
    this.#show("", "Loading the model.");
    return this.#choir.writingAssistant({ engine });
  }
}
