/** The card of a language task: the editor, by what and how it suggests, and what is learned from it. */

import type { AdapterChoice, Choir, EngineWish, Session, SuggestionEnd, SuggestOptions, Suggestion, TaskSummary } from "@choir/sdk";
import { asChoirError, WritingAssistant } from "@choir/sdk";
import { byId, bytes, make, setText } from "./dom.ts";
import { Editor } from "./editor.ts";

const CHOICES: readonly AdapterChoice[] = ["base", "global", "own"];
const NAMES: Record<AdapterChoice, string> = { base: "Base model", global: "Global adapter", own: "My adapter" };
/** Models below this many bytes are faster on the CPU, where no kernel has to be sent for. */
const SMALL_MODEL = 16_000_000;
/** Larger files are not a visitor's own text. */
const MOST_BYTES = 32 * 1024 * 1024;

/** What the card needs of the page. */
export interface WritingPage {
  readonly choir: () => Choir;
  readonly engine: () => EngineWish;
  /** Adds text to what the visitor may learn from; yields the number of its passages. */
  readonly learn: (text: string) => number;
  /** The network was used. */
  readonly asked: () => void;
}

export class WritingCard {
  readonly #page: WritingPage;
  readonly #editor: Editor;
  readonly #note = byId("writing-note", HTMLElement);
  readonly #speed = byId("writing-speed", HTMLElement);
  #assistant: WritingAssistant | null = null;
  #task: TaskSummary | null = null;
  #own: Float32Array | null = null;
  #version = 0;
  /** What is told while the model is loaded. */
  #loading: string | null = null;
  #isComparing = false;

  constructor(page: WritingPage) {
    this.#page = page;
    this.#editor = new Editor(
      (text, signal) => this.#suggest(text, { adapter: this.#adapter, signal }),
      () => this.#show(),
    );
    for (const choice of CHOICES) this.#radio(choice).addEventListener("change", () => this.#editor.again());
    for (const name of ["length", "ends", "temperature"]) {
      byId(`writing-${name}`, HTMLSelectElement).addEventListener("change", () => this.#editor.again());
    }
    byId("compare", HTMLButtonElement).addEventListener("click", () => void this.#compare());
    byId("learn", HTMLButtonElement).addEventListener("click", () => this.#learn(this.#editor.text, "What you wrote"));
    const file = byId("writing-file", HTMLInputElement);
    file.addEventListener("change", () => void this.#learnFiles(file.files));
    this.#takeDrops();
  }

  /** Opens the card for a language task, and closes it for any other. */
  open(task: TaskSummary | null): void {
    const isWriting = task?.payload === "language";
    byId("writing", HTMLElement).hidden = !isWriting;
    if (task === null) this.close();
    if (!isWriting || this.#task?.task === task.task) return;
    this.#task = task;
    this.#version = task.version;
    this.#show();
  }

  /** Ends its thread and forgets what was written. */
  close(): void {
    this.#assistant?.close();
    this.#assistant = this.#task = this.#own = null;
    this.#editor.clear();
    byId("compared", HTMLElement).replaceChildren();
  }

  /** A round is out, or this tab has trained: the next suggestions are by what there is now. */
  async renew(session: Session | null, isNewVersion: boolean): Promise<void> {
    if (this.#task === null) return;
    try {
      this.#own = (await session?.trainedAdapter()) ?? this.#own;
      await this.#assistant?.giveOwn(this.#own);
      if (isNewVersion && this.#assistant !== null) this.#version = (await this.#assistant.refresh()).version;
    } catch {
      // The session or the thread has ended meanwhile: the last adapter stands.
    }
    this.#loading = null;
    this.#show();
  }

  /** The page's choir has been closed, and the thread with it: the next suggestion starts another. */
  threadEnded(): void {
    this.#assistant = null;
    this.#editor.ghost.dismiss();
  }

  get #adapter(): AdapterChoice {
    return CHOICES.find((choice) => this.#radio(choice).checked) ?? "global";
  }

  #radio(choice: AdapterChoice): HTMLInputElement {
    return byId(`adapter-${choice}`, HTMLInputElement);
  }

  async *#suggest(text: string, options: SuggestOptions): AsyncGenerator<Suggestion, void> {
    const assistant = await this.#ready();
    const chosen = (name: string): string => byId(`writing-${name}`, HTMLSelectElement).value;
    const temperature = Number(chosen("temperature"));
    yield* assistant.suggest(text, {
      ...options,
      length: Number(chosen("length")),
      end: chosen("ends") as SuggestionEnd,
      // Drawn texts differ from one pause to the next; the likeliest one does not.
      sampling: temperature === 0 ? {} : { temperature, topP: 0.9, seed: Math.floor(Math.random() * 2 ** 32) },
    });
  }

  /** The assistant with its model; the first time it is loaded, and told of. */
  async #ready(): Promise<WritingAssistant> {
    if (this.#assistant !== null) return this.#assistant;
    const small = (this.#task?.weightsBytes ?? 0) < SMALL_MODEL;
    const assistant = this.#page.choir().writingAssistant({
      engine: small ? "cpu" : this.#page.engine(),
      onEvent: (event) => {
        if (event.kind === "download") {
          const total = event.total === null ? "" : ` of ${bytes(event.total)}`;
          this.#loading = `Loading the ${event.file}: ${bytes(event.loaded)}${total}`;
        } else if (event.kind === "preparing") this.#loading = `${event.ready} of ${event.kernels} kernels ready`;
        this.#show();
      },
    });
    this.#assistant = assistant;
    this.#loading = "Loading the model";
    this.#show();
    try {
      this.#version = (await assistant.load()).version;
      await assistant.giveOwn(this.#own);
      return assistant;
    } catch (thrown) {
      assistant.close();
      if (this.#assistant === assistant) this.#assistant = null;
      throw thrown;
    } finally {
      this.#loading = null;
      this.#page.asked();
    }
  }

  /** The same text by each adapter that there is, one after the other. */
  async #compare(): Promise<void> {
    const text = this.#editor.before;
    this.#editor.ghost.dismiss();
    this.#isComparing = true;
    this.#show();
    const list = byId("compared", HTMLElement);
    list.replaceChildren();
    try {
      for (const adapter of CHOICES.filter((choice) => choice !== "own" || this.#own !== null)) {
        const [term, said, speed] = [make("dt", NAMES[adapter]), make("dd"), make("dd", "", "quiet")];
        list.append(term, said, speed);
        for await (const suggestion of this.#suggest(text, { adapter })) {
          setText(said, suggestion.text.trim());
          setText(speed, speedOf(suggestion));
        }
      }
    } catch (thrown) {
      list.replaceChildren(make("dd", `Not possible right now: ${asChoirError(thrown).message}.`, "problem"));
    }
    this.#isComparing = false;
    this.#show();
  }

  #takeDrops(): void {
    const frame = byId("editor-frame", HTMLElement);
    frame.addEventListener("dragover", (event) => {
      if (event.dataTransfer?.types.includes("Files") !== true) return;
      event.preventDefault();
      frame.classList.add("over");
    });
    frame.addEventListener("dragleave", () => frame.classList.remove("over"));
    frame.addEventListener("drop", (event) => {
      frame.classList.remove("over");
      if (event.dataTransfer === null || event.dataTransfer.files.length === 0) return;
      event.preventDefault();
      void this.#learnFiles(event.dataTransfer.files);
    });
  }

  async #learnFiles(files: FileList | null): Promise<void> {
    for (const file of files ?? []) {
      if (!/\.(txt|md|markdown)$/i.test(file.name)) {
        setText(byId("learn-note", HTMLElement), `${file.name} was not read: drop plain text, .txt or .md.`);
      } else if (file.size > MOST_BYTES) {
        setText(byId("learn-note", HTMLElement), `${file.name} was not read: it has more than 32 MiB. Cut it in pieces.`);
      } else this.#learn(await file.text(), file.name);
    }
  }

  #learn(text: string, what: string): void {
    const note = byId("learn-note", HTMLElement);
    const count = this.#page.learn(text);
    const passages = count === 1 ? "1 passage" : `${count} passages`;
    if (count === 0) setText(note, `${what} has no text yet.`);
    else setText(note, `${what} (${passages}) is now among your examples above. Nothing is trained until you start the training there.`);
  }

  #show(): void {
    const { ghost } = this.#editor;
    const { suggestion } = ghost;
    setText(byId("adapter-global-name", HTMLElement), this.#version === 0 ? NAMES.global : `${NAMES.global}, round ${this.#version}`);
    this.#radio("own").disabled = this.#own === null;
    byId("own-note", HTMLElement).hidden = this.#own !== null;
    const isEmpty = this.#editor.text.trim() === "";
    byId("compare", HTMLButtonElement).disabled = isEmpty || this.#isComparing;
    byId("learn", HTMLButtonElement).disabled = isEmpty;
    this.#note.classList.toggle("problem", ghost.problem !== null);
    setText(this.#note, this.#line(suggestion));
    if (suggestion !== null) {
      setText(this.#speed, speedOf(suggestion));
      this.#speed.dataset["tokensPerSecond"] = String(suggestion.tokensPerSecond ?? "");
      this.#speed.dataset["adapter"] = suggestion.adapter;
      this.#speed.dataset["version"] = String(suggestion.version);
    }
  }

  #line(suggestion: Suggestion | null): string {
    const { ghost } = this.#editor;
    if (ghost.problem !== null) return `No suggestion: ${ghost.problem}`;
    if (this.#loading !== null) return this.#loading;
    if (ghost.isBusy || this.#isComparing) return "Writing";
    if (suggestion !== null && suggestion.text === "") return "The model would end the text here.";
    return suggestion === null ? "Type, and pause for a moment." : `By the ${NAMES[suggestion.adapter].toLowerCase()}`;
  }
}

function speedOf({ tokensPerSecond, tokens, firstMs }: Suggestion): string {
  const speed = tokensPerSecond === null ? "" : `${Math.round(tokensPerSecond).toLocaleString("en")} tokens per second, `;
  return `${speed}${tokens === 1 ? "1 token" : `${tokens} tokens`}, the first after ${Math.max(1, Math.round(firstMs))} ms`;
}
