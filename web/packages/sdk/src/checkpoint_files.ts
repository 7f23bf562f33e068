/**
 * Checkpoints in the origin's private file system, one folder per task: two slots that are written
 * in turn, so that one of them is always whole, and the examples if the visitor wants them kept.
 * One tab at a time writes for a task; the others train without checkpoints.
 */

import type { Checkpoint, CheckpointHead, NewHash } from "./checkpoint.ts";
import { decodeCheckpoint, encodeCheckpoint, peekCheckpoint } from "./checkpoint.ts";
import type { Example } from "./examples.ts";
import { Lock } from "./lock.ts";

const FOLDER = "choir";
const SLOTS = ["slot-0", "slot-1"] as const;
const EXAMPLES = "examples.json";
/** A tab that was just reloaded may not have let go of its lock yet. */
const CLAIM_PATIENCE_MS = 1_500;
const REMOVAL_PATIENCE_MS = 2_000;
/** After a day the round that a checkpoint is of is over. */
const MOST_AGE_MS = 24 * 60 * 60 * 1_000;

/** A training that a reload has interrupted. */
export interface UnfinishedTraining {
  readonly task: string;
  readonly version: number;
  readonly step: number;
  readonly steps: number;
  /** Where the visitor wanted them kept; else they must be given again. */
  readonly examples: readonly Example[] | null;
}

/** What this file uses of the synchronous handle, which only threads have. */
interface SyncHandle {
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}
type ThreadFileHandle = FileSystemFileHandle & { createSyncAccessHandle(): Promise<SyncHandle> };

/** The checkpoints that one training thread writes. Storage that is denied or full is no error. */
export class CheckpointFiles {
  readonly #newHash: NewHash;
  readonly #lock = new Lock();
  #task: string | null = null;
  #release: () => void = () => undefined;
  #slot = 0;
  #live = false;
  #examplesSettled = false;

  constructor(newHash: NewHash) {
    this.#newHash = newHash;
  }

  /** Makes this thread the one that writes for the task. False where another tab does, or nothing is stored here. */
  async claim(task: string): Promise<boolean> {
    if (this.#task === task) return true;
    this.release();
    const release = await claimLock(`choir/checkpoints/${task}`);
    if (release === null) return false;
    this.#task = task;
    this.#release = release;
    return true;
  }

  /** Lets another tab write. What is stored stays. */
  release(): void {
    this.#task = null;
    this.#live = false;
    this.#release();
    this.#release = () => undefined;
  }

  /** The newest whole checkpoint of the claimed task. From now on more may be written. */
  newest(): Promise<Checkpoint | null> {
    return this.#lock.run(async () => {
      if (this.#task === null) return null;
      this.#live = true;
      this.#examplesSettled = false;
      const folder = await openFolder(this.#task, false);
      if (folder === null) return null;
      let newest: Checkpoint | null = null;
      for (const [slot, name] of SLOTS.entries()) {
        const bytes = await readFile(folder, name);
        const found = bytes === null ? null : decodeCheckpoint(bytes, this.#newHash);
        if (found === null || (newest !== null && found.at <= newest.at)) continue;
        newest = found;
        this.#slot = 1 - slot;
      }
      return newest;
    });
  }

  /** Stores a checkpoint, and the examples where they are to be kept. True where it is on disk. */
  save(checkpoint: Checkpoint, examples: readonly Example[] | null): Promise<boolean> {
    return this.#lock.run(async () => {
      if (this.#task === null || !this.#live) return false;
      try {
        const folder = await openFolder(this.#task, true);
        if (folder === null) return false;
        if (!this.#examplesSettled) await settleExamples(folder, examples);
        this.#examplesSettled = true;
        await writeFile(folder, SLOTS[this.#slot] ?? SLOTS[0], encodeCheckpoint(checkpoint, this.#newHash));
        this.#slot = 1 - this.#slot;
        return true;
      } catch {
        return false;
      }
    });
  }

  /**
   * Removes all that is stored of the claimed task, or fails; nothing more is written until
   * `newest` is asked.
   */
  drop(): Promise<void> {
    this.#live = false;
    return this.#lock.run(async () => {
      if (this.#task !== null) await removeFolder(this.#task);
    });
  }
}

/** The newest interrupted training, of the given task if there is one given. Old ones are removed. */
export async function unfinishedTraining(task: string | null): Promise<UnfinishedTraining | null> {
  let newest: { head: CheckpointHead; folder: FileSystemDirectoryHandle } | null = null;
  for (const folder of await taskFolders()) {
    const head = await newestHead(folder);
    if (head === null || Date.now() - head.at > MOST_AGE_MS) {
      await removeFolder(folder.name);
    } else if ((task === null || head.key.task === task) && (newest === null || head.at > newest.head.at)) {
      newest = { head, folder };
    }
  }
  if (newest === null) return null;
  const { key, step, steps } = newest.head;
  return { task: key.task, version: key.version, step, steps, examples: await keptExamples(newest.folder) };
}

/** Removes every checkpoint; fails where one could not be removed. */
export async function removeCheckpoints(patienceMs: number): Promise<void> {
  await remove(await rootFolder(), FOLDER, patienceMs);
}

async function newestHead(folder: FileSystemDirectoryHandle): Promise<CheckpointHead | null> {
  let newest: CheckpointHead | null = null;
  for (const name of SLOTS) {
    const bytes = await readFile(folder, name);
    const head = bytes === null ? null : peekCheckpoint(bytes);
    if (head !== null && (newest === null || head.at > newest.at)) newest = head;
  }
  return newest;
}

/** Kept as the visitor wishes now, whatever was wished before a reload. */
async function settleExamples(folder: FileSystemDirectoryHandle, examples: readonly Example[] | null): Promise<void> {
  if (examples === null) await remove(folder, EXAMPLES, REMOVAL_PATIENCE_MS);
  else await writeFile(folder, EXAMPLES, new TextEncoder().encode(JSON.stringify(examples)));
}

async function keptExamples(folder: FileSystemDirectoryHandle): Promise<Example[] | null> {
  const bytes = await readFile(folder, EXAMPLES);
  if (bytes === null) return null;
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as Example[];
  } catch {
    return null;
  }
}

async function rootFolder(): Promise<FileSystemDirectoryHandle | null> {
  try {
    return await navigator.storage.getDirectory();
  } catch {
    return null;
  }
}

async function openFolder(task: string, create: boolean): Promise<FileSystemDirectoryHandle | null> {
  try {
    const choir = await (await rootFolder())?.getDirectoryHandle(FOLDER, { create });
    return (await choir?.getDirectoryHandle(task, { create })) ?? null;
  } catch {
    return null;
  }
}

async function taskFolders(): Promise<FileSystemDirectoryHandle[]> {
  const folders: FileSystemDirectoryHandle[] = [];
  try {
    const choir = await (await rootFolder())?.getDirectoryHandle(FOLDER);
    for await (const handle of choir?.values() ?? []) {
      if (handle.kind === "directory") folders.push(handle as FileSystemDirectoryHandle);
    }
  } catch {
    // There are none.
  }
  return folders;
}

async function readFile(folder: FileSystemDirectoryHandle, name: string): Promise<Uint8Array | null> {
  try {
    const file = await (await folder.getFileHandle(name)).getFile();
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    return null;
  }
}

async function writeFile(folder: FileSystemDirectoryHandle, name: string, bytes: Uint8Array): Promise<void> {
  const file = (await folder.getFileHandle(name, { create: true })) as ThreadFileHandle;
  const handle = await file.createSyncAccessHandle();
  try {
    handle.truncate(0);
    handle.write(bytes, { at: 0 });
    handle.flush();
  } finally {
    handle.close();
  }
}

async function removeFolder(task: string): Promise<void> {
  const root = await rootFolder();
  const choir = await root?.getDirectoryHandle(FOLDER).catch(() => null);
  await remove(choir, task, REMOVAL_PATIENCE_MS);
  // Only an empty folder goes without `recursive`.
  await root?.removeEntry(FOLDER).catch(() => undefined);
}

/** Tries again while a thread that was just ended lets go of its files. */
async function remove(from: FileSystemDirectoryHandle | null | undefined, name: string, patienceMs: number): Promise<void> {
  const end = Date.now() + patienceMs;
  while (from != null) {
    try {
      return await from.removeEntry(name, { recursive: true });
    } catch (thrown) {
      if (isNotFound(thrown)) return;
      if (Date.now() > end) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function isNotFound(thrown: unknown): boolean {
  return thrown instanceof DOMException && thrown.name === "NotFoundError";
}

/** A lock that is held until the function it yields is called; `null` where it is another tab's. */
async function claimLock(name: string): Promise<(() => void) | null> {
  return new Promise((resolve) => {
    const held = () =>
      new Promise<void>((release) => {
        resolve(release);
      });
    const asked = navigator.locks?.request(name, { signal: AbortSignal.timeout(CLAIM_PATIENCE_MS) }, held);
    if (asked === undefined) resolve(null);
    else asked.catch(() => resolve(null));
  });
}
