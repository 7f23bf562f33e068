/**
 * Files by digest: streamed with progress, verified by SHA-256 as they come, kept in the browser's
 * Cache Storage. What does not have its digest is neither used nor kept.
 */

import { retried } from "./aggregator.ts";
import type { NewHash } from "./checkpoint.ts";
import { ChoirError } from "./errors.ts";

const CACHE_NAME = "choir-objects-1";

/** Told as bytes come in. */
export type Progress = (loaded: number, total: number | null, cached: boolean) => void;

/** Where objects come from. */
export interface ObjectSource {
  objectUrl(digest: string): string;
  fetchObject(digest: string): Promise<Response>;
}

export class ObjectStore {
  constructor(
    readonly source: ObjectSource,
    readonly newHash: NewHash,
  ) {}

  /**
   * Passes an object's bytes on in order. `sink` may have seen all of them before the digest turns
   * out wrong: nothing may be used until this resolves.
   */
  async stream(digest: string, sink: (chunk: Uint8Array) => void, progress: Progress): Promise<number> {
    const cache = await openCache();
    const url = this.source.objectUrl(digest);
    const kept = await cache?.match(url);
    if (kept?.body != null) {
      const read = await this.#read(kept, (chunk) => sink(chunk), progress, true);
      if (read.digest === digest) return read.bytes;
      await cache?.delete(url);
      throw new ChoirError("digest-mismatch", "a file in this browser's cache was damaged and is removed");
    }
    const response = await retried(() => this.source.fetchObject(digest));
    if (!response.ok || response.body === null) {
      throw new ChoirError("network", `the aggregator has no object ${digest} (status ${response.status})`);
    }
    const copy = cache === null ? null : new CacheCopy(cache, url, response.headers.get("content-length"));
    try {
      const take = (chunk: Uint8Array) => {
        sink(chunk);
        copy?.add(chunk);
      };
      const read = await this.#read(response, take, progress, false);
      if (read.digest !== digest) {
        throw new ChoirError("digest-mismatch", `the object ${digest} arrived as ${read.digest}`);
      }
      await copy?.keep();
      return read.bytes;
    } catch (thrown) {
      await copy?.drop();
      throw thrown;
    }
  }

  /** A small object as a whole. */
  async read(digest: string, progress: Progress): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    const bytes = await this.stream(digest, (chunk) => chunks.push(chunk), progress);
    const whole = new Uint8Array(bytes);
    let at = 0;
    for (const chunk of chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }

  async #read(
    response: Response,
    sink: (chunk: Uint8Array) => void,
    progress: Progress,
    cached: boolean,
  ): Promise<{ digest: string; bytes: number }> {
    const hash = this.newHash();
    const length = response.headers.get("content-length");
    const total = length === null ? null : Number(length);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let bytes = 0;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        bytes += value.length;
        hash.update(value);
        sink(value);
        progress(bytes, total, cached);
      }
    } catch (thrown) {
      await reader.cancel().catch(() => undefined);
      throw thrown;
    }
    return { digest: hash.finish(), bytes };
  }
}

/** A copy on its way into the cache; it is stored only by `keep`. */
class CacheCopy {
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  readonly #stored: Promise<boolean>;

  constructor(cache: Cache, url: string, length: string | null) {
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        this.#controller = controller as ReadableStreamDefaultController<Uint8Array>;
      },
    });
    const headers = new Headers({ "content-type": "application/octet-stream" });
    if (length !== null) headers.set("content-length", length);
    // A full disk or a denied cache costs the next visit a download, nothing else.
    this.#stored = cache.put(url, new Response(body, { headers })).then(
      () => true,
      () => false,
    );
  }

  add(chunk: Uint8Array): void {
    this.#controller?.enqueue(chunk);
  }

  async keep(): Promise<void> {
    this.#controller?.close();
    await this.#stored;
  }

  async drop(): Promise<void> {
    this.#controller?.error(new Error("not kept"));
    await this.#stored;
  }
}

async function openCache(): Promise<Cache | null> {
  try {
    return await caches.open(CACHE_NAME);
  } catch {
    return null;
  }
}
