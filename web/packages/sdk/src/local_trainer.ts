/**
 * A trainer in this very thread: opens the task's model, trains on the visitor's examples, holds
 * the finished update and takes it through a round. The update never leaves this object unmasked.
 */

import { Aggregator, ByteMeter, jitteredWait } from "./aggregator.ts";
import type { Args, CallName, Classification, Contribution, OpenArgs, Origin, Result, TrainReport } from "./calls.ts";
import { contribute } from "./contribution.ts";
import { asChoirError, ChoirError } from "./errors.ts";
import type { ChoirEvent, EngineKind, EngineReport, EngineWish, Evaluation, TaskSummary } from "./events.ts";
import { splitHeldOut } from "./held_out.ts";
import { runLocalSteps } from "./local_steps.ts";
import { Lock } from "./lock.ts";
import { asFloats, Model, progressOf } from "./model.ts";
import { Modules } from "./modules.ts";
import type { ProtocolModule, TaskStatus } from "./modules.ts";
import { ObjectStore } from "./objects.ts";
import { observe } from "./observe.ts";
import type { Policy } from "./policy.ts";
import type { Labelled } from "./tokens.ts";
import type { Trainer } from "./trainer.ts";

/** What `describe` sets up. */
interface Home {
  readonly modules: Modules;
  readonly protocol: ProtocolModule;
  readonly aggregator: Aggregator;
  readonly objects: ObjectStore;
}

/** What `open` sets up. */
interface Work {
  readonly args: OpenArgs;
  readonly abort: AbortController;
  readonly labels: readonly string[];
  readonly training: Labelled;
  readonly heldOut: Labelled;
  model: Model;
  /** The version whose adapter the engine started from. */
  version: number;
  evaluation: Evaluation | null;
  wantedEngine: EngineKind | null;
}

/** A finished update that waits for its round. */
interface HeldUpdate {
  readonly values: Float32Array;
  readonly version: number;
  readonly exampleCount: number;
  readonly msPerStep: number | null;
}

/** Set by the build: true only in a build that may show a client's plain vector to a test. */
declare const OBSERVE: boolean;

const POLL_MS = 1_000;

export class LocalTrainer implements Trainer {
  readonly #emit: (event: ChoirEvent) => void;
  readonly #meter = new ByteMeter();
  readonly #lock = new Lock();
  #home: Home | null = null;
  #work: Work | null = null;
  #held: HeldUpdate | null = null;
  /** Told once, however long it takes. */
  #waitingFor: string | null = null;

  constructor(emit: (event: ChoirEvent) => void) {
    this.#emit = emit;
  }

  call<N extends CallName>(name: N, args: Args<N>): Promise<Result<N>> {
    return this.#calls[name](args);
  }

  close(): void {
    this.#work?.abort.abort();
    this.#work?.model.close();
    this.#work = null;
    this.#held = null;
  }

  readonly #calls: { [N in CallName]: (args: Args<N>) => Promise<Result<N>> } = {
    describe: ({ origin, task }) => this.#describe(origin, task),
    open: (args) => this.#open(args),
    train: () => this.#train(this.#opened()),
    contribute: () => this.#contribute(this.#opened()),
    evaluate: () => this.#evaluateNewest(this.#opened()),
    classify: ({ texts }) => this.#classify(this.#opened(), texts),
    useEngine: ({ engine }) => this.#useEngine(this.#opened(), engine),
    leave: () => this.#leave(),
  };

  async #describe(origin: Origin, task: string | null): Promise<TaskSummary | null> {
    const home = await this.#settle(origin);
    const chosen = task ?? home.protocol.decodeSiteStatus(await home.aggregator.site()).task;
    return chosen === null ? null : summary(chosen, await this.#status(chosen));
  }

  async #settle(origin: Origin): Promise<Home> {
    if (this.#home !== null) return this.#home;
    const modules = new Modules(origin.modules);
    const protocol = await modules.protocol();
    const aggregator = new Aggregator(origin.aggregator, this.#meter);
    const objects = new ObjectStore(
      (digest) => aggregator.objectUrl(digest),
      () => new protocol.StreamHash(),
    );
    this.#home = { modules, protocol, aggregator, objects };
    return this.#home;
  }

  async #open(args: OpenArgs): Promise<EngineReport> {
    const status = await this.#status(args.task);
    checkPolicy(status, args.policy);
    this.close();
    this.#emit({ kind: "task", ...summary(args.task, status) });
    const model = await this.#openModel(status, args.engine, null);
    const split = splitHeldOut(args.examples, args.heldOut, args.seed);
    if (split.training.length === 0) throw new ChoirError("no-examples", "there is nothing to train on");
    const labelled = (examples: typeof split.training): Labelled =>
      model.tokenizer.label(examples, status.labels);
    const training = labelled(split.training);
    const heldOut = labelled(split.heldOut);
    this.#work = {
      args,
      abort: new AbortController(),
      labels: status.labels,
      training,
      heldOut,
      model,
      version: status.version,
      evaluation: null,
      wantedEngine: null,
    };
    this.#emit({
      kind: "examples",
      training: split.training.length,
      heldOut: split.heldOut.length,
      truncated: training.truncated + heldOut.truncated,
      maxLength: status.maxLength,
    });
    return model.report;
  }

  async #train(work: Work): Promise<TrainReport> {
    this.#held = null;
    this.#waitingFor = null;
    this.#meter.reset();
    const status = await this.#runningStatus(work);
    return this.#onSomeEngine(work, status, async () => {
      const before = await this.#startFrom(work, status);
      if (status.roundsLeft === 0) return { outcome: "finished", successor: status.successor };
      return this.#trainFrom(work, status, before);
    });
  }

  /** Does `work` once more from its start where the engine was lost or another one is wanted. */
  async #onSomeEngine<T>(work: Work, status: TaskStatus, run: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await run();
      } catch (thrown) {
        await this.#changeEngine(work, status, asChoirError(thrown));
      }
    }
  }

  /** Gives the engine the global adapter and measures it on what was set aside. */
  async #startFrom(work: Work, status: TaskStatus): Promise<Float32Array> {
    const { objects } = this.#at();
    const bytes = await objects.read(status.adapter, progressOf("adapter", this.#emit));
    this.#meter.down += bytes.length;
    const before = asFloats(bytes);
    if (before.length !== status.adapterLength) {
      throw new ChoirError("bad-model", `the adapter has ${before.length} values, not ${status.adapterLength}`);
    }
    const isNew = work.evaluation?.version !== status.version;
    await this.#lock.run(async () => {
      if (status.payload === "centroids") return;
      work.model.trainer.setAdapter(before);
      work.version = status.version;
      if (isNew && work.heldOut.labels.length > 0) work.evaluation = await this.#evaluate(work);
    });
    if (isNew && work.evaluation !== null) this.#emit({ kind: "evaluated", ...work.evaluation });
    return before;
  }

  async #trainFrom(work: Work, status: TaskStatus, before: Float32Array): Promise<TrainReport> {
    const exampleCount = work.training.labels.length;
    const { version } = status;
    if (status.payload === "centroids") {
      this.#emit({ kind: "training", version, steps: 0 });
      const values = await this.#lock.run(() => {
        const { trainer } = work.model;
        trainer.setExamples(work.training.tokens, work.training.starts, work.training.labels, 0n);
        return trainer.centroids();
      });
      this.#held = { values, version, exampleCount, msPerStep: null };
    } else {
      this.#emit({ kind: "training", version, steps: status.localSteps });
      const { after, msPerStep } = await runLocalSteps({
        trainer: work.model.trainer,
        examples: work.training,
        steps: status.localSteps,
        seed: BigInt(work.args.seed) * 65_536n + BigInt(version),
        lock: this.#lock,
        emit: this.#emit,
        goOn: () => !work.abort.signal.aborted && work.wantedEngine === null,
      });
      const values = this.#at().protocol.subtract(after, before);
      if (!values.every(Number.isFinite)) {
        throw new ChoirError("not-finite", "the update holds a value that is not a finite number");
      }
      this.#held = { values, version, exampleCount, msPerStep };
    }
    return { outcome: "trained", version, msPerStep: this.#held.msPerStep };
  }

  /** After a wish or a lost device: the other engine, from the same version. Else throws on. */
  async #changeEngine(work: Work, status: TaskStatus, error: ChoirError): Promise<void> {
    if (work.abort.signal.aborted) throw new ChoirError("closed", "the visitor left");
    const lost = error.code === "device-lost" && work.model.report.engine !== "cpu";
    const wanted: EngineKind | null = lost ? "cpu" : work.wantedEngine;
    const reason = lost ? "the graphics device was lost" : "chosen by the visitor";
    if (wanted === null) throw error;
    work.wantedEngine = null;
    await this.#lock.run(async () => {
      work.model.close();
      work.model = await this.#openModel(status, wanted, reason);
    });
  }

  async #contribute(work: Work): Promise<Contribution> {
    const held = this.#held;
    if (held === null) throw new ChoirError("internal", "there is no update to contribute");
    this.#held = null;
    const { aggregator, protocol } = this.#at();
    const { task, policy } = work.args;
    for (;;) {
      const bytes = await aggregator.task(task);
      const status = protocol.decodeTaskStatus(bytes);
      if (status.version !== held.version) {
        return { outcome: "retrain", reason: `version ${status.version} has come out meanwhile` };
      }
      if (status.running && status.round !== null) {
        const participation = protocol.Participation.join(bytes, task, policy, held.values, held.exampleCount);
        if (OBSERVE) observe(status.round, participation, { values: held.values, examples: work.training }, this.#emit);
        const { round, version } = status;
        const { signal } = work.abort;
        const { msPerStep } = held;
        const emit = this.#emit;
        const outcome = await contribute({ aggregator, task, round, version, participation, msPerStep, signal, emit });
        if (outcome.outcome !== "again") return outcome;
      } else if (status.roundsLeft === 0) {
        return { outcome: "retrain", reason: "the task has no round left" };
      }
      await this.#pause(work, "the next round to open");
    }
  }

  async #evaluateNewest(work: Work): Promise<Evaluation | null> {
    const status = await this.#status(work.args.task);
    await this.#onSomeEngine(work, status, () => this.#startFrom(work, status));
    return work.evaluation;
  }

  async #evaluate(work: Work): Promise<Evaluation> {
    const { tokens, starts, labels } = work.heldOut;
    const { accuracy, loss } = await work.model.trainer.evaluate(tokens, starts, labels);
    return { version: work.version, accuracy, loss, examples: labels.length };
  }

  async #classify(work: Work, texts: readonly string[]): Promise<Classification[]> {
    return this.#lock.run(async () => {
      const { tokens, starts } = work.model.tokenizer.pack(texts);
      const all = await work.model.trainer.classify(tokens, starts);
      const width = work.labels.length;
      return texts.map((text, row) => {
        const labels = work.labels.map((label, column) => ({ label, probability: all[row * width + column] ?? 0 }));
        labels.sort((one, other) => other.probability - one.probability);
        return { text, version: work.version, labels };
      });
    });
  }

  async #useEngine(work: Work, engine: EngineKind): Promise<null> {
    if (work.model.report.engine !== engine) work.wantedEngine = engine;
    return null;
  }

  async #leave(): Promise<null> {
    this.#work?.abort.abort();
    return null;
  }

  /** The task's status once it has something to do: stopped tasks and awaited successors are waited for. */
  async #runningStatus(work: Work): Promise<TaskStatus> {
    for (;;) {
      const status = await this.#status(work.args.task);
      const awaitsSuccessor = status.payload === "centroids" && status.successor === null;
      if (status.roundsLeft === 0 ? !awaitsSuccessor : status.running) return status;
      await this.#pause(work, status.roundsLeft === 0 ? "the task that follows" : "the operator to start the task");
    }
  }

  async #pause(work: Work, reason: string): Promise<void> {
    if (work.abort.signal.aborted) throw new ChoirError("closed", "the visitor left");
    if (this.#waitingFor !== reason) this.#emit({ kind: "waiting", reason });
    this.#waitingFor = reason;
    await jitteredWait(POLL_MS);
    if (work.abort.signal.aborted) throw new ChoirError("closed", "the visitor left");
  }

  #openModel(status: TaskStatus, engine: EngineWish, because: string | null): Promise<Model> {
    const { modules, objects } = this.#at();
    return Model.open(modules, objects, status, engine, because, this.#emit);
  }

  async #status(task: string): Promise<TaskStatus> {
    const { protocol, aggregator } = this.#at();
    return protocol.decodeTaskStatus(await aggregator.task(task));
  }

  #at(): Home {
    if (this.#home === null) throw new ChoirError("internal", "describe comes first");
    return this.#home;
  }

  #opened(): Work {
    if (this.#work === null) throw new ChoirError("internal", "open comes first");
    return this.#work;
  }
}

/** Said before anything is loaded; the protocol module checks the whole policy again before it joins. */
function checkPolicy({ minCohort }: TaskStatus, policy: Policy): void {
  if (minCohort >= policy.minCohort) return;
  const reason = `this page joins cohorts of ${policy.minCohort} or more, and the task's may have ${minCohort}`;
  throw new ChoirError("policy", reason);
}

function summary(task: string, status: TaskStatus): TaskSummary {
  const { name, payload, labels, maxLength, version, roundsLeft, running } = status;
  const { cohortSize, minCohort, localSteps, weightsBytes } = status;
  return { task, name, payload, labels, maxLength, version, roundsLeft, running, cohortSize, minCohort, localSteps, weightsBytes };
}

