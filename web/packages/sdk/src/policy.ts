/**
 * What the page that embeds Choir insists on. It comes from the page, never from the aggregator,
 * and no header of a server can lower it.
 */

/** The page's own conditions for taking part. */
export interface Policy {
  /** The smallest cohort that this page lets a visitor join. */
  readonly minCohort: number;
  /** Assumed corrupt clients, in thousandths; a task may assume more, never less. */
  readonly corruptPermille: number;
  /** The smallest noise, as standard deviation over clip norm. */
  readonly noiseMultiplier: number;
  /** The smallest clip norm that the noise is scaled to. */
  readonly clip: number;
  /**
   * SHA-256 of the base models' weights that this page trains on, hex. Weights made for it give
   * texts away through a sum too (Fowl et al. 2023, "Decepticons"), so no server chooses them.
   */
  readonly baseModels: readonly string[];
  /**
   * X25519 keys, hex, of the helpers that this page trusts not to work with the leader. A task with
   * two aggregators is refused unless its helper is named here; none is, if this is not given.
   */
  readonly helpers?: readonly string[];
  /** How many updates one visitor uploads to one task, counted in this browser. */
  readonly uploads: number;
}

/** all-MiniLM-L6-v2, `model.safetensors` as its authors published it. */
export const ALL_MINI_LM_L6_V2 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";

/** stories260K by Andrej Karpathy, `stories260K.bin` as he published it: a decoder for demonstrations. */
export const STORIES_260K = "b0a507e7ad0f626624f17112325e66691f9076d622e1d3274d103d00299f2696";

/** The built-in decoder, `web/models/choir-4m/model.safetensors`; its card says how it was made. */
export const CHOIR_4M = "5b24a14e2cd24ecefd5760e60cd44af984ae2cd61576102a74b1577473ff54c5";

/** The production default: the privacy floor of the protocol, one upload per visitor. */
export const DEFAULT_POLICY: Policy = Object.freeze({
  minCohort: 50,
  corruptPermille: 100,
  noiseMultiplier: 0,
  clip: 0,
  baseModels: [ALL_MINI_LM_L6_V2],
  uploads: 1,
});

/** For demonstrations: cohorts this small protect nobody from the others in them. */
export const DEMO_POLICY: Policy = Object.freeze({
  minCohort: 3,
  corruptPermille: 100,
  noiseMultiplier: 0,
  clip: 0,
  baseModels: [ALL_MINI_LM_L6_V2, CHOIR_4M, STORIES_260K],
  uploads: 65_535,
});

/** Counts the uploads of this browser to a task. */
export interface UploadCount {
  used(task: string): number;
  add(task: string): void;
}

/** What the keys of upload counts start with. */
export const UPLOAD_COUNT_PREFIX = "choir/uploads/";

/** Kept in `localStorage`, so that a reload does not start anew; in memory where that is denied. */
export function browserUploadCount(): UploadCount {
  const memory = new Map<string, number>();
  const key = (task: string) => UPLOAD_COUNT_PREFIX + task;
  return {
    used(task) {
      let stored = 0;
      try {
        stored = Number(localStorage.getItem(key(task)) ?? "0") || 0;
      } catch {
        // Storage is denied: the count in memory stands.
      }
      return Math.max(stored, memory.get(task) ?? 0);
    },
    add(task) {
      const next = this.used(task) + 1;
      memory.set(task, next);
      try {
        localStorage.setItem(key(task), String(next));
      } catch {
        // As above.
      }
    },
  };
}
