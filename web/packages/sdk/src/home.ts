/** What a training thread stands on once it knows its aggregator: modules, routes, files, notes. */

import { Aggregator, ByteMeter } from "./aggregator.ts";
import type { Keeping, Origin } from "./calls.ts";
import { CheckpointFiles } from "./checkpoint_files.ts";
import type { ChoirEvent } from "./events.ts";
import { LedgerBook } from "./ledger.ts";
import { watchLoadedFiles } from "./loaded_files.ts";
import { Modules } from "./modules.ts";
import type { ProtocolModule } from "./modules.ts";
import { Notes } from "./notes.ts";
import { ObjectStore } from "./objects.ts";
import { ReceiptBook } from "./receipt.ts";

export interface Home {
  readonly origin: Origin;
  /** As in [`Keeping`]. */
  readonly by: string;
  readonly modules: Modules;
  readonly protocol: ProtocolModule;
  readonly aggregator: Aggregator;
  readonly objects: ObjectStore;
  readonly receipt: ReceiptBook;
  /** `null` where the page keeps no record of this session. */
  readonly ledger: LedgerBook | null;
  /** As `ledger`. */
  readonly checkpoints: CheckpointFiles | null;
}

/** Loads the protocol module and opens the notes. */
export async function openHome(
  origin: Origin,
  { by, records }: Keeping,
  meter: ByteMeter,
  emit: (event: ChoirEvent) => void,
): Promise<Home> {
  const modules = new Modules(origin.modules);
  const protocol = await modules.protocol();
  const newHash = () => new protocol.StreamHash();
  const digest = (bytes: Uint8Array) => {
    const hash = newHash();
    hash.update(bytes);
    return hash.finish();
  };
  const notes = Notes.open();
  const receipt = new ReceiptBook(by, notes, digest, emit);
  watchLoadedFiles(receipt, origin.aggregator);
  const aggregator = new Aggregator(origin.aggregator, meter, receipt);
  const objects = new ObjectStore(aggregator, newHash);
  const ledger = records ? new LedgerBook(notes, (...of) => protocol.epsilon(...of)) : null;
  const checkpoints = records ? new CheckpointFiles(newHash) : null;
  return { origin, by, modules, protocol, aggregator, objects, receipt, ledger, checkpoints };
}
