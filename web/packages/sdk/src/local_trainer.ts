/**
 * A trainer in this very thread: opens the task's model, trains on the visitor's examples, holds
 * the finished update and takes it through a round. The update never leaves this object unmasked.
 */

import { ByteMeter, jitteredWait } from "./aggregator.ts";
import type { Args, CallName, Calls, Classification, Contribution, OpenArgs, Result, TrainReport } from "./calls.ts";
import type { TrainingKey } from "./checkpoint.ts";
import { digestExamples } from "./checkpoint.ts";
import { contribute } from "./contribution.ts";
import { asChoirError, ChoirError } from "./errors.ts";
import type { ChoirEvent, EngineKind, EngineReport, EngineWish, Evaluation, TaskSummary } from "./events.ts";
import { splitHeldOut } from "./held_out.ts";
import { Gate } from "./gate.ts";
import type { Home } from "./home.ts";
import { openHome } from "./home.ts";
import { Lock } from "./lock.ts";
import { asFloats, Model, progressOf } from "./model.ts";
import type { ParticipationHandle, TaskStatus } from "./modules.ts";
import { observe } from "./observe.ts";
import { once } from "./once.ts";
import type { PredictorContext } from "./predictor.ts";
import { classifyTexts, Predictor } from "./predictor.ts";
import { report } from "./report.ts";
import { runResumableSteps } from "./resumable.ts";
import { jointSteps, Sibling } from "./siblings.ts";
import { checkPolicy, factsOf, summary } from "./task_view.ts";
import type { Labelled } from "./tokens.ts";
import { countOf } from "./tokens.ts";
import type { Trainer } from "./trainer.ts";
import { Writer } from "./writer.ts";

/** What `open` sets up. */
interface Work {
  readonly args: OpenArgs;
  readonly abort: AbortController;
  readonly labels: readonly string[];
  readonly training: Labelled;
  readonly heldOut: Labelled;
  readonly seed: number;
  /** Of the examples as they were given. */
  readonly examplesDigest: string;
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
  readonly #gate = new Gate();
  #home: Home | null = null;
  #work: Work | null = null;
  #held: HeldUpdate | null = null;
  /** What the last finished training made. */
  #trained: Float32Array | null = null;
  readonly #predictor = once(() => new Predictor(this.#reading()));
  readonly #writer = once(() => new Writer(this.#reading()));
  readonly #sibling = once(() => new Sibling(this.#emit));
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
    describe: (args) => this.#describe(args),
    open: (args) => this.#open(args),
    train: () => this.#train(this.#opened()),
    contribute: () => this.#contribute(this.#opened()),
    evaluate: () => this.#evaluateNewest(this.#opened()),
    classify: ({ texts }) => this.#classify(this.#opened(), texts),
    predict: ({ task, engine, texts }) => this.#lock.run(() => this.#predictor().predict(task, engine, texts)),
    openWriter: ({ task, engine }) => this.#lock.run(() => this.#writer().open(task, engine)),
    giveOwn: ({ values }) => this.#lock.run(() => this.#writer().giveOwn(values)),
    startText: (args) => this.#lock.run(() => this.#writer().start(args)),
    continueText: () => this.#lock.run(() => this.#writer().goOn()),
    trainedAdapter: async () => this.#trained,
    hold: ({ reason }) => this.#hold(reason),
    useEngine: ({ engine }) => this.#useEngine(this.#opened(), engine),
    leave: () => this.#leave(),
    openSibling: (args) => this.#sibling().open(args),
    gradient: (args) => this.#sibling().gradient(args),
  };

  async #describe({ origin, task, keeping }: Calls["describe"]["args"]): Promise<TaskSummary | null> {
    const home = (this.#home ??= await openHome(origin, keeping, this.#meter, this.#emit));
    const chosen = task ?? home.protocol.decodeSiteStatus(await home.aggregator.site()).task;
    return chosen === null ? null : summary(chosen, await this.#status(chosen));
  }

  async #open(args: OpenArgs): Promise<EngineReport> {
    const status = await this.#status(args.task);
    checkPolicy(status, args.policy);
    this.close();
    this.#emit({ kind: "task", ...summary(args.task, status) });
    const model = await this.#openModel(status, args.engine, null, args);
    const { protocol } = this.#at();
    const examplesDigest = digestExamples(args.examples, () => new protocol.StreamHash());
    const earlier = await this.#seedOfCheckpoint(args.task, examplesDigest);
    const seed = args.seed ?? earlier ?? randomSeed();
    const split = splitHeldOut(args.examples, args.heldOut, seed);
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
      seed,
      examplesDigest,
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

  /** Claims the task's checkpoints. The order in which these examples were trained on before a reload, if they were. */
  async #seedOfCheckpoint(task: string, examplesDigest: string): Promise<number | null> {
    const { checkpoints } = this.#at();
    if (checkpoints === null || !(await checkpoints.claim(task))) return null;
    const key = (await checkpoints.newest())?.key;
    return key?.examples === examplesDigest ? key.seed : null;
  }

  async #train(work: Work): Promise<TrainReport> {
    this.#held = null;
    this.#waitingFor = null;
    this.#meter.reset();
    const status = await this.#runningStatus(work);
    return this.#onSomeEngine(work, status, async () => {
      const before = await this.#startFrom(work, status);
      if (status.roundsLeft === 0) {
        await this.#at().checkpoints?.drop();
        return { outcome: "finished", successor: status.successor };
      }
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
      if (isNew && countOf(work.heldOut) > 0) work.evaluation = await this.#evaluate(work);
    });
    if (isNew && work.evaluation !== null) this.#emit({ kind: "evaluated", ...work.evaluation });
    return before;
  }

  async #trainFrom(work: Work, status: TaskStatus, before: Float32Array): Promise<TrainReport> {
    const exampleCount = countOf(work.training);
    const { version } = status;
    if (status.payload === "centroids") {
      this.#emit({ kind: "training", version, steps: 0, from: 0 });
      const values = await this.#lock.run(() => {
        const { trainer } = work.model;
        trainer.setExamples(work.training.tokens, work.training.starts, work.training.labels, 0n);
        return trainer.centroids();
      });
      this.#held = { values, version, exampleCount, msPerStep: null };
    } else {
      const { task, heldOut, examples, keepExamples } = work.args;
      const { taskDigest, adapter } = status;
      const key: TrainingKey = { task, taskDigest, version, adapter, examples: work.examplesDigest, heldOut, seed: work.seed };
      const { after, msPerStep } = await runResumableSteps({
        key,
        files: this.#at().checkpoints,
        keep: keepExamples ? examples : null,
        trainer: work.model.trainer,
        joint: work.model.joint,
        examples: work.training,
        steps: status.localSteps,
        seed: BigInt(work.seed) * 65_536n + BigInt(version),
        lock: this.#lock,
        gate: this.#gate,
        emit: this.#emit,
        goOn: () => !work.abort.signal.aborted && work.wantedEngine === null,
      });
      this.#trained = after;
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
      work.model = await this.#openModel(status, wanted, reason, work.args);
    });
  }

  async #contribute(work: Work): Promise<Contribution> {
    const held = this.#held;
    if (held === null) throw new ChoirError("internal", "there is no update to contribute");
    this.#held = null;
    const { aggregator, protocol, receipt, ledger, checkpoints } = this.#at();
    const { task, policy } = work.args;
    for (;;) {
      const bytes = await aggregator.task(task);
      const status = protocol.decodeTaskStatus(bytes);
      if (status.version !== held.version) {
        return { outcome: "retrain", reason: `version ${status.version} has come out meanwhile` };
      }
      if (status.running && status.round !== null) {
        const open = status.round;
        const frozen = [bytes, task, policy, held.values, held.exampleCount] as const;
        const shown = <H extends Pick<ParticipationHandle, "plainWords">>(handle: H): H => {
          if (OBSERVE) observe(open, handle, { values: held.values, examples: work.training }, this.#emit);
          return handle;
        };
        const { version, name, cohortSize, noiseMultiplier } = status;
        const round = factsOf(status.round, status);
        const beforeUpload = async () => {
          // An update that leaves the tab is never made again out of a checkpoint.
          await checkpoints?.drop();
          await ledger?.begin({ round: round.round, task, name, version, cohortSize, noiseMultiplier }, bytes);
        };
        const { signal } = work.abort;
        const { msPerStep } = held;
        const emit = this.#emit;
        const common = { aggregator, task, round, version, msPerStep, signal, emit, beforeUpload };
        const outcome = await (status.helper === null
          ? contribute({ ...common, participation: shown(protocol.Participation.join(...frozen)) })
          : report({ ...common, report: shown(protocol.Report.make(...frozen)), status: () => this.#status(task) }));
        if (outcome.outcome === "published") {
          await receipt.settle(round.round, outcome.report.clients);
          await ledger?.published(round.round, outcome.report.clients);
        }
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
    return { version: work.version, accuracy, loss, examples: countOf(work.heldOut) };
  }

  async #classify(work: Work, texts: readonly string[]): Promise<Classification[]> {
    return this.#lock.run(() => classifyTexts(work.model, work.labels, work.version, texts));
  }

  /** What reading the newest version takes. */
  #reading(): PredictorContext {
    const { modules, objects } = this.#at();
    return { modules, objects, status: (task) => this.#status(task), emit: this.#emit };
  }

  async #useEngine(work: Work, engine: EngineKind): Promise<null> {
    if (work.model.report.engine !== engine) work.wantedEngine = engine;
    return null;
  }

  async #hold(reason: string | null): Promise<null> {
    this.#gate.set(reason);
    return null;
  }

  async #leave(): Promise<null> {
    this.#work?.abort.abort();
    // A visitor who leaves is not to wait for the battery.
    this.#gate.set(null);
    await this.#home?.checkpoints?.drop();
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

  async #openModel(status: TaskStatus, engine: EngineWish, because: string | null, args: OpenArgs): Promise<Model> {
    const home = this.#at();
    const model = await Model.open(home.modules, home.objects, status, engine, because, args.maxGpuBytes, this.#emit);
    model.joint = jointSteps(model, status, home, args.cpuThreads, this.#emit);
    return model;
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

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 1;
}
