/**
 * The browser's own database for what Choir notes down about itself: the receipt and the ledger.
 * Nothing of it is ever sent. Where the browser denies storage there is none, and that is no error.
 */

const NAME = "choir";
const VERSION = 1;

/** `receipt`: what left the tab, in order. `ledger`: one entry per round in which an update left. */
export type NoteKind = "receipt" | "ledger";

export class Notes {
  readonly #database: IDBDatabase;

  private constructor(database: IDBDatabase) {
    this.#database = database;
    // Another tab forgets everything: this one must not stand in its way.
    database.onversionchange = () => database.close();
  }

  /** The database, made where there is none yet; `null` where storage is denied. */
  static open(): Promise<Notes | null> {
    return open(true);
  }

  /** The database where there is one: looking leaves nothing behind. */
  static openExisting(): Promise<Notes | null> {
    return open(false);
  }

  static of(database: IDBDatabase): Notes {
    return new Notes(database);
  }

  /** Adds an entry, or takes the place of the one with its key; done once it is stored. */
  put(kind: NoteKind, entry: unknown): Promise<void> {
    return this.#change(kind, (store) => store.put(entry));
  }

  all<T>(kind: NoteKind): Promise<T[]> {
    const store = this.#database.transaction(kind).objectStore(kind);
    return answer(store.getAll() as IDBRequest<T[]>);
  }

  /** Changes every entry of a round. */
  changeRound<T>(kind: NoteKind, round: string, change: (entry: T) => T): Promise<void> {
    return this.#change(kind, (store) => {
      const asked = store.index("round").openCursor(IDBKeyRange.only(round));
      asked.onsuccess = () => {
        const cursor = asked.result;
        if (cursor === null) return;
        cursor.update(change(cursor.value as T));
        cursor.continue();
      };
    });
  }

  close(): void {
    this.#database.close();
  }

  #change(kind: NoteKind, act: (store: IDBObjectStore) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const transaction = this.#database.transaction(kind, "readwrite");
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error("not stored"));
      act(transaction.objectStore(kind));
    });
  }
}

/** Removes the database; fails where another tab keeps it open in spite of being asked. */
export function removeNotes(patienceMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const removing = indexedDB.deleteDatabase(NAME);
    removing.onsuccess = () => resolve();
    removing.onerror = () => reject(removing.error ?? new Error("not removed"));
    setTimeout(() => reject(new Error("another tab of this site still uses it")), patienceMs);
  });
}

function open(create: boolean): Promise<Notes | null> {
  return new Promise((resolve) => {
    let opening: IDBOpenDBRequest;
    try {
      opening = indexedDB.open(NAME, VERSION);
    } catch {
      return resolve(null);
    }
    opening.onupgradeneeded = () => {
      if (!create) return opening.transaction?.abort();
      const { result } = opening;
      result.createObjectStore("receipt", { keyPath: "id", autoIncrement: true }).createIndex("round", "round");
      result.createObjectStore("ledger", { keyPath: "round" }).createIndex("round", "round");
    };
    opening.onsuccess = () => resolve(Notes.of(opening.result));
    opening.onerror = (event) => {
      event.preventDefault();
      resolve(null);
    };
  });
}

function answer<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error ?? new Error("not read"));
  });
}

/** Storage that fails costs the visitor the note, not the round. */
export async function noteIfPossible(opening: Promise<Notes | null>, act: (notes: Notes) => Promise<void>): Promise<void> {
  try {
    const notes = await opening;
    if (notes !== null) await act(notes);
  } catch {
    // A full disk, or another tab that was told to forget.
  }
}
