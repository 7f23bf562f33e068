/**
 * What the browser tells of moments in which a visitor would rather not have a machine at work. A
 * cause that a browser does not tell of never pauses.
 */

/** Why training pauses: the tab is not in view; the battery is running down. */
export type PauseCause = "hidden" | "discharging";

/** Both: a page that wants to go on in the background says so. */
export const DEFAULT_PAUSES: readonly PauseCause[] = ["hidden", "discharging"];

/** What this file uses of the Battery Status API, which is not in the type library. */
interface Battery extends EventTarget {
  readonly charging: boolean;
}

const IN_WORDS: Record<PauseCause, string> = {
  hidden: "this tab is not in view",
  discharging: "the battery is running down",
};

/** Tells the reason whenever it changes, `null` for none, at first too where there is one; returns how to stop. */
export function watchPauses(causes: readonly PauseCause[], tell: (reason: string | null) => void): () => void {
  const ending = new AbortController();
  const { signal } = ending;
  const holds = new Set<PauseCause>();
  let told: string | null = null;
  const set = (cause: PauseCause, present: boolean): void => {
    if (present) holds.add(cause);
    else holds.delete(cause);
    const reason = causes.filter((one) => holds.has(one)).map((one) => IN_WORDS[one]).join(", and ") || null;
    if (signal.aborted || reason === told) return;
    told = reason;
    tell(reason);
  };
  // A worker of an extension has no document, and so no view to be out of.
  if (causes.includes("hidden") && typeof document !== "undefined") {
    const look = (): void => set("hidden", document.visibilityState === "hidden");
    document.addEventListener("visibilitychange", look, { signal });
    look();
  }
  if (causes.includes("discharging")) {
    void battery().then((found) => {
      if (found === null) return;
      const look = (): void => set("discharging", !found.charging);
      found.addEventListener("chargingchange", look, { signal });
      look();
    });
  }
  return () => ending.abort();
}

async function battery(): Promise<Battery | null> {
  try {
    const { getBattery } = navigator as { getBattery?: () => Promise<Battery> };
    return (await getBattery?.call(navigator)) ?? null;
  } catch {
    // A page whose policy forbids it; a place without a browser.
    return null;
  }
}
