/**
 * The package's own files: where they lie beside the page's script, and what they must contain.
 * The build writes `CHOIR_FILES` into whatever it bundles for a page, each address in the form
 * `new URL("./...", import.meta.url)`, which Vite and its like recognise and carry along.
 */

import { ChoirError } from "./errors.ts";

/** A file with what it must contain, where that is known. */
export interface BuiltFile {
  readonly url: string;
  /** `sha384-...` as in subresource integrity. */
  readonly integrity: string | null;
}

export interface ModuleFiles {
  readonly script: BuiltFile;
  readonly wasm: BuiltFile;
}

/** The wasm modules that were built, by name. */
export type ModuleTable = Readonly<Partial<Record<string, ModuleFiles>>>;

interface BuiltFiles {
  readonly modules: ModuleTable;
  /** Set where the page's script and `thread.js` are served as they were built. */
  readonly thread: BuiltFile | null;
}

/** Written by the build. */
declare const CHOIR_FILES: BuiltFiles;

/** The modules beside the page's script, or in the folder that the page names. */
export function moduleTable(folder: string | URL | undefined): ModuleTable {
  const { modules } = CHOIR_FILES;
  return folder === undefined ? modules : movedTo(modules, new URL(folder, document.baseURI));
}

/** The same modules in another folder, with a slash at its end. */
export function movedTo(modules: ModuleTable, folder: URL): ModuleTable {
  const moved: Record<string, ModuleFiles> = {};
  for (const [name, files] of Object.entries(modules)) {
    if (files === undefined) continue;
    const { script, wasm } = files;
    moved[name] = {
      script: { ...script, url: new URL(`${name}/module.js`, folder).href },
      wasm: { ...wasm, url: new URL(`${name}/module.wasm`, folder).href },
    };
  }
  return moved;
}

/** Starts the training thread, the page's own script for it or the one beside this script. */
export async function startThread(script: string | URL | undefined): Promise<Worker> {
  if (script !== undefined) return new Worker(script, { type: "module", name: "training thread" });
  const { thread } = CHOIR_FILES;
  if (thread !== null) await fetchChecked(thread);
  // To the letter: bundlers look for exactly this.
  return new Worker(new URL("./thread.js", import.meta.url), { type: "module", name: "training thread" });
}

/**
 * Fetches a file; the browser refuses one that is not what was built. Then the reason is looked
 * for, because the browser itself does not tell it to scripts.
 */
export async function fetchChecked(file: BuiltFile): Promise<Response> {
  // A copy of an earlier version may be in the browser's cache, hence the second attempt.
  const found = (await attempt(file, "default")) ?? (await attempt(file, "reload"));
  if (found === null) throw await whyNot(file.url);
  if (!found.ok) throw missing(file.url, `the server answered ${found.status}`);
  return found;
}

async function attempt({ url, integrity }: BuiltFile, cache: RequestCache): Promise<Response | null> {
  try {
    return await fetch(url, integrity === null ? { cache } : { cache, integrity });
  } catch {
    return null;
  }
}

async function whyNot(url: string): Promise<ChoirError> {
  try {
    const { ok, status } = await fetch(url, { cache: "no-store" });
    if (!ok) return missing(url, `the server answered ${status}`);
  } catch (thrown) {
    return missing(url, thrown instanceof Error ? thrown.message : String(thrown));
  }
  return new ChoirError(
    "changed-file",
    `${url} is not the file that this version of Choir was built with (SHA-384 differs), and is not used: ` +
      "serve all files of one @choir/sdk package, unchanged",
  );
}

function missing(url: string, reason: string): ChoirError {
  return new ChoirError(
    "missing-file",
    `${url} cannot be loaded (${reason}): serve the files of the @choir/sdk package beside each other, ` +
      "or name their places by the options `thread` and `modules`",
  );
}
