/**
 * Deletes everything that Choir keeps in this browser: files in the cache, checkpoints and kept
 * examples, receipt and ledger, upload counts. Other tabs of the site are told to stop first.
 */

import { removeCheckpoints } from "./checkpoint_files.ts";
import { ChoirError } from "./errors.ts";
import { unwatchPageFiles } from "./loaded_files.ts";
import { removeNotes } from "./notes.ts";
import { UPLOAD_COUNT_PREFIX } from "./policy.ts";

const CHANNEL = "choir/forget";
const CACHES = "choir-";
/** Threads end and let go of what they have open within this time. */
const PATIENCE_MS = 5_000;

/** Calls `stop` when another session of this site, in this tab or another one, is told to forget. */
export function onForget(stop: () => void): void {
  new BroadcastChannel(CHANNEL).onmessage = () => stop();
}

/**
 * Stops every session of this site and deletes what they have stored.
 *
 * Fails where something could not be deleted, and says what.
 */
export async function forgetEverything(): Promise<void> {
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage(null);
  channel.close();
  unwatchPageFiles();
  const kept: string[] = [];
  const remove = async (what: string, removing: Promise<void>) => {
    await removing.catch((thrown: unknown) => kept.push(`${what} (${thrown instanceof Error ? thrown.message : String(thrown)})`));
  };
  await remove("checkpoints", removeCheckpoints(PATIENCE_MS));
  await remove("cached files", removeCaches());
  await remove("receipt and ledger", removeNotes(PATIENCE_MS));
  removeUploadCounts();
  if (kept.length > 0) throw new ChoirError("internal", `not everything could be deleted: ${kept.join(", ")}`);
}

async function removeCaches(): Promise<void> {
  for (const name of await caches.keys()) {
    if (name.startsWith(CACHES)) await caches.delete(name);
  }
}

function removeUploadCounts(): void {
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(UPLOAD_COUNT_PREFIX)) localStorage.removeItem(key);
    }
  } catch {
    // Where storage is denied, nothing was counted.
  }
}
