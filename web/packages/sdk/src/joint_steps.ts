/**
 * Steps of engine cpu in several threads. A sibling of the training thread holds the same frozen
 * weights and nothing else: for each step it is given the adapter and a portion of the batch, and
 * yields the portion's gradient. The adapter and its optimizer stay here, so a sibling that is gone
 * costs nothing: its portion is computed here, and the steps go on as before.
 */

import type { Gradient, SiblingArgs } from "./calls.ts";
import type { EngineTrainer, Portion } from "./modules.ts";
import type { Trainer } from "./trainer.ts";

/** Siblings are opened where one thread would take this long for the steps that are left. */
const WORTHWHILE_MS = 2_000;
/** After so many steps with siblings it is known whether they are of use. */
const TRIAL_STEPS = 8;
/** They are where a step takes at most this part of what it takes one thread. */
const OF_USE = 0.9;
/** A sibling is given up where it takes this much longer than the portion that is computed here. */
const PATIENCE_MS = 5_000;
const PATIENCE = 10;

/** What a trainer of engine cpu can do beside the others. */
export type JointTrainer = EngineTrainer & Required<Pick<EngineTrainer, "nextPortions" | "applyGradient">>;

export interface JointSettings {
  readonly trainer: JointTrainer;
  /** At most. */
  readonly siblings: number;
  /** Starts the thread of one. */
  readonly start: () => Trainer;
  readonly args: SiblingArgs;
}

export interface Taken {
  readonly losses: readonly number[];
  readonly milliseconds: number;
  /** The training thread among them. */
  readonly threads: number;
}

export class JointSteps {
  readonly #settings: JointSettings;
  /** Each of them, from its start on. */
  readonly #started = new Set<Trainer>();
  #ready: readonly Trainer[] = [];
  #isOver = false;
  /** The shortest step of one thread, and of several. */
  #aloneMs = Infinity;
  #jointMs = Infinity;
  #jointSteps = 0;

  constructor(settings: JointSettings) {
    this.#settings = settings;
  }

  /** Takes so many steps of those that are left, in as many threads as there are by now. */
  async take(count: number, left: number): Promise<Taken> {
    const { threads } = this;
    if (threads === 1) {
      const taken = await takeAlone(this.#settings.trainer, count);
      const each = taken.milliseconds / count;
      this.#aloneMs = Math.min(this.#aloneMs, each);
      if (each * (left - count) > WORTHWHILE_MS) void this.open();
      return taken;
    }
    const start = performance.now();
    const losses: number[] = [];
    while (losses.length < count) losses.push(await this.#step());
    const milliseconds = performance.now() - start;
    this.#judge(count, milliseconds / count);
    return { losses, milliseconds, threads };
  }

  /** Threads that take the next step, this one among them. */
  get threads(): number {
    return 1 + this.#ready.length;
  }

  /** Opens the siblings, once; each takes part as soon as it has its weights. Resolves when all have, or cannot. */
  async open(): Promise<void> {
    const { siblings, start, args } = this.#settings;
    const opening: Promise<void>[] = [];
    while (!this.#isOver && this.#started.size < siblings) {
      const sibling = start();
      this.#started.add(sibling);
      opening.push(sibling.call("openSibling", args).then(
        () => void (this.#ready = [...this.#ready, sibling].filter((one) => this.#started.has(one))),
        () => this.#drop(sibling),
      ));
    }
    await Promise.all(opening);
  }

  /** Ends the siblings; steps that are taken later are taken in one thread. */
  close(): void {
    this.#isOver = true;
    for (const sibling of this.#started) sibling.close();
    this.#started.clear();
    this.#ready = [];
  }

  /** One that failed once would fail again: no other is opened. */
  #drop(sibling: Trainer): void {
    this.#isOver = true;
    sibling.close();
    this.#started.delete(sibling);
    this.#ready = this.#ready.filter((one) => one !== sibling);
  }

  /** Cores that are busy with something else gain nothing by another thread. */
  #judge(steps: number, each: number): void {
    this.#jointMs = Math.min(this.#jointMs, each);
    this.#jointSteps += steps;
    if (this.#jointSteps >= TRIAL_STEPS && this.#jointMs > OF_USE * this.#aloneMs) this.close();
  }

  async #step(): Promise<number> {
    const { trainer } = this.#settings;
    const [own, ...others] = trainer.nextPortions(this.threads);
    const adapter = await trainer.adapter();
    const asked = others.map((portion, place) => this.#ask(this.#ready[place], adapter, portion));
    const sum = new Float32Array(adapter.length);
    const start = performance.now();
    let loss = own === undefined ? 0 : add(sum, own, await gradientOf(trainer, own));
    const patience = PATIENCE_MS + PATIENCE * (performance.now() - start);
    for (const [place, portion] of others.entries()) {
      const found = await asked[place]?.(patience);
      // In the same order whoever has computed it: the sum is the same to the last bit.
      loss += add(sum, portion, found ?? (await gradientOf(trainer, portion)));
    }
    trainer.applyGradient(sum);
    return loss;
  }

  /** Asks a sibling; `null` where there is no answer in time. */
  #ask(sibling: Trainer | undefined, adapter: Float32Array, portion: Portion): (patience: number) => Promise<Gradient | null> {
    if (sibling === undefined) return async () => null;
    const { tokens, starts, labels } = portion;
    const answer = sibling.call("gradient", { adapter, tokens, starts, labels }).catch(() => null);
    return async (patience) => {
      const found = await within(patience, answer);
      if (found?.gradient.length === adapter.length) return found;
      this.#drop(sibling);
      return null;
    };
  }
}

/** Takes so many steps in this thread. */
export async function takeAlone(trainer: EngineTrainer, count: number): Promise<Taken> {
  return { ...(await trainer.steps(count)), threads: 1 };
}

function gradientOf(trainer: EngineTrainer, { tokens, starts, labels }: Portion): Promise<Gradient> {
  return trainer.gradient(tokens, starts, labels);
}

/** Adds a portion's part of the batch's gradient; yields its part of the loss. */
function add(sum: Float32Array, { weight }: Portion, { loss, gradient }: Gradient): number {
  for (let place = 0; place < sum.length; place += 1) sum[place] = (sum[place] ?? 0) + weight * (gradient[place] ?? 0);
  return weight * loss;
}

async function within<T>(milliseconds: number, answer: Promise<T>): Promise<T | null> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => (timer = setTimeout(resolve, milliseconds, null)));
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
