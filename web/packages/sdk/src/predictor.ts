/**
 * What the newest global adapter says of a text, for a page that asks without taking part: the
 * model and the adapter are loaded, nothing is trained, and nothing of the text is sent.
 */

import type { Classification } from "./calls.ts";
import { asChoirError, ChoirError } from "./errors.ts";
import type { ChoirEvent, EngineWish } from "./events.ts";
import { asFloats, Model, progressOf } from "./model.ts";
import type { Modules, TaskStatus } from "./modules.ts";
import type { ObjectStore } from "./objects.ts";

/** What a predictor needs of its surroundings. */
export interface PredictorContext {
  readonly modules: Modules;
  readonly objects: ObjectStore;
  readonly status: (task: string) => Promise<TaskStatus>;
  readonly emit: (event: ChoirEvent) => void;
}

/** The model that is loaded, and the adapter that it was given. */
interface Loaded {
  readonly task: string;
  readonly model: Model;
  adapter: string;
}

export class Predictor {
  readonly #context: PredictorContext;
  #loaded: Loaded | null = null;

  constructor(context: PredictorContext) {
    this.#context = context;
  }

  /** By the newest version of the task, or of the one that follows a task of centroids. */
  async predict(task: string, engine: EngineWish, texts: readonly string[]): Promise<Classification[]> {
    const current = await this.#classifying(task);
    try {
      const model = await this.#upToDate(current.task, current.status, engine);
      return await classifyTexts(model, current.status.labels, current.status.version, texts);
    } catch (thrown) {
      this.close();
      if (engine === "cpu" || asChoirError(thrown).code !== "device-lost") throw thrown;
      return this.predict(task, "cpu", texts);
    }
  }

  close(): void {
    this.#loaded?.model.close();
    this.#loaded = null;
  }

  async #classifying(task: string): Promise<{ task: string; status: TaskStatus }> {
    const status = await this.#context.status(task);
    if (status.payload === "adapter") return { task, status };
    if (status.payload === "language") throw new ChoirError("bad-task", "a language task has no classifier");
    if (status.successor === null) {
      throw new ChoirError("bad-task", "the task has no classifier yet: the task that follows it has not been created");
    }
    return this.#classifying(status.successor);
  }

  async #upToDate(task: string, status: TaskStatus, engine: EngineWish): Promise<Model> {
    const { modules, objects, emit } = this.#context;
    if (this.#loaded?.task !== task) {
      this.close();
      const model = await Model.open(modules, objects, status, engine, null, null, emit);
      this.#loaded = { task, model, adapter: "" };
    }
    const { model, adapter } = this.#loaded;
    if (adapter !== status.adapter) {
      const values = asFloats(await objects.read(status.adapter, progressOf("adapter", emit)));
      if (values.length !== status.adapterLength) {
        throw new ChoirError("bad-model", `the adapter has ${values.length} values instead of ${status.adapterLength}`);
      }
      model.trainer.setAdapter(values);
      this.#loaded.adapter = status.adapter;
    }
    return model;
  }
}

/** Each text's labels, the most likely first, by the adapter that the model has now. */
export async function classifyTexts(
  { tokenizer, trainer }: Model,
  names: readonly string[],
  version: number,
  texts: readonly string[],
): Promise<Classification[]> {
  const { tokens, starts } = tokenizer.pack(texts);
  const all = await trainer.classify(tokens, starts);
  return texts.map((text, row) => {
    const labels = names.map((label, column) => ({ label, probability: all[row * names.length + column] ?? 0 }));
    labels.sort((one, other) => other.probability - one.probability);
    return { text, version, labels };
  });
}
