/**
 * Which engine trains. An engine that cannot run here is a value with its reason, not an error:
 * the tab goes on with the CPU and says why.
 */

import type { ChoirErrorCode } from "./errors.ts";
import { asChoirError, ChoirError } from "./errors.ts";
import type { EngineKind, EngineReport, EngineWish } from "./events.ts";
import type { EngineModule, EngineTrainer, MemoryPlan, ModuleName, Modules, TaskStatus } from "./modules.ts";

/** A model's shell on a device, still without weights. */
export interface OpenedEngine {
  readonly trainer: EngineTrainer;
  readonly report: EngineReport;
  /** Where the trainer is from. */
  readonly module: EngineModule;
}

/** What an engine needs to know of a task. */
export type EngineTask = Pick<TaskStatus, "config" | "payload">;

type Usable = { readonly module: EngineModule; readonly adapter: string | null } | { readonly absent: string };
type Opening = { readonly opened: OpenedEngine } | { readonly absent: string };

const MODULE_OF: Record<EngineKind, Exclude<ModuleName, "protocol">> = {
  webgpu: "wgsl",
  cpu: "cpu",
  burn: "burn",
};

/** Why a device is of no use for a task: the CPU may be. */
const OF_NO_USE: readonly ChoirErrorCode[] = ["no-device", "device-lost", "too-large"];

/**
 * Opens the engine that was wished for, or the CPU with the reason: there is no such device, or the
 * task takes more of its memory than it, or the page, grants.
 */
export async function openEngine(
  modules: Modules,
  wish: EngineWish,
  task: EngineTask,
  because: string | null,
  maxGpuBytes: number | null,
): Promise<OpenedEngine> {
  const { engine, reason } = wish === "auto" ? await fasterEngine(modules) : { engine: wish, reason: because };
  if (engine !== "cpu") {
    const opening = await tryOpen(modules, engine, task, reason, maxGpuBytes);
    if ("opened" in opening) return opening.opened;
    return openCpu(modules, task, opening.absent);
  }
  return openCpu(modules, task, reason);
}

async function openCpu(modules: Modules, task: EngineTask, reason: string | null): Promise<OpenedEngine> {
  const module = await modules.engine(MODULE_OF.cpu);
  return opened("cpu", module, await openTrainer(module, task), null, reason, null);
}

async function tryOpen(
  modules: Modules,
  engine: EngineKind,
  task: EngineTask,
  reason: string | null,
  maxGpuBytes: number | null,
): Promise<Opening> {
  const usable = await usableModule(modules, engine);
  if ("absent" in usable) return usable;
  try {
    const trainer = await openTrainer(usable.module, task);
    return { opened: opened(engine, usable.module, trainer, usable.adapter, reason, planned(trainer, maxGpuBytes)) };
  } catch (thrown) {
    const error = asChoirError(thrown);
    if (OF_NO_USE.includes(error.code)) return { absent: error.message };
    throw error;
  }
}

/** A trainer of the task's kind. */
function openTrainer(module: EngineModule, { config, payload }: EngineTask): Promise<EngineTrainer> {
  const trainer = payload === "language" ? module.LanguageTrainer : module.Trainer;
  if (trainer === undefined) throw new ChoirError("bad-task", "this engine trains no decoder");
  return trainer.open(config);
}

/** The plan of a training; where there is none, nobody needs the trainer any more. */
function planned(trainer: EngineTrainer, maxGpuBytes: number | null): MemoryPlan | null {
  try {
    return trainer.plan(maxGpuBytes ?? undefined);
  } catch (thrown) {
    trainer.free();
    throw thrown;
  }
}

function opened(
  engine: EngineKind,
  module: EngineModule,
  trainer: EngineTrainer,
  adapter: string | null,
  reason: string | null,
  memory: MemoryPlan | null,
): OpenedEngine {
  const info = trainer.info();
  return { trainer, module, report: { engine, device: info.device, adapter: adapter ?? info.adapter, reason, memory } };
}

/** The module of an engine; WebGPU is asked for an adapter before anything is fetched. */
async function usableModule(modules: Modules, engine: EngineKind): Promise<Usable> {
  const found = engine === "webgpu" ? await webgpuAdapter() : { adapter: null };
  if ("absent" in found) return found;
  try {
    return { module: await modules.engine(MODULE_OF[engine]), adapter: found.adapter };
  } catch (thrown) {
    const { code, message } = asChoirError(thrown);
    // A file that somebody changed is no reason to go on with another.
    if (code === "changed-file") throw thrown;
    return { absent: `the engine's module could not be loaded: ${message}` };
  }
}

/** What this file uses of WebGPU, which is not in the type library. */
interface Gpu {
  requestAdapter(): Promise<{ readonly info: Record<"vendor" | "architecture" | "description", string> } | null>;
}

/** The adapter's name as the browser gives it, or why there is no WebGPU here. */
async function webgpuAdapter(): Promise<{ readonly adapter: string | null } | { readonly absent: string }> {
  const { gpu } = navigator as { gpu?: Gpu };
  if (gpu === undefined) return { absent: "this browser has no WebGPU" };
  try {
    const adapter = await gpu.requestAdapter();
    if (adapter === null) return { absent: "WebGPU found no adapter" };
    const { vendor, architecture, description } = adapter.info;
    const name = [vendor, architecture, description].filter((part) => part !== "").join(" ");
    return { adapter: name === "" ? null : name };
  } catch (thrown) {
    return { absent: `WebGPU gave no adapter: ${asChoirError(thrown).message}` };
  }
}

/** Measures a short product once on both and takes the faster. */
async function fasterEngine(modules: Modules): Promise<{ engine: EngineKind; reason: string }> {
  const webgpu = await usableModule(modules, "webgpu");
  if ("absent" in webgpu) return { engine: "cpu", reason: webgpu.absent };
  try {
    const onGpu = await webgpu.module.measureProduct();
    const onCpu = await (await modules.engine(MODULE_OF.cpu)).measureProduct();
    const reason = `measured ${onGpu.toFixed(1)} GFLOP/s on WebGPU, ${onCpu.toFixed(1)} on the CPU`;
    return { engine: onGpu >= onCpu ? "webgpu" : "cpu", reason };
  } catch (thrown) {
    return { engine: "cpu", reason: `WebGPU could not be measured: ${asChoirError(thrown).message}` };
  }
}
