/** Errors that a page can switch on. The text is for people, the code is for programs. */

/** What went wrong. Codes of the wasm modules use the same words. */
export type ChoirErrorCode =
  | "no-device"
  | "device-lost"
  | "not-finite"
  | "bad-task"
  | "bad-input"
  | "bad-model"
  | "digest-mismatch"
  | "network"
  | "refused"
  | "too-large"
  | "no-examples"
  | "policy"
  | "closed"
  | "origin-refused"
  | "missing-file"
  | "changed-file"
  | "internal";

const CODES: ReadonlySet<string> = new Set<ChoirErrorCode>([
  "no-device",
  "device-lost",
  "not-finite",
  "bad-task",
  "bad-input",
  "bad-model",
  "digest-mismatch",
  "network",
  "refused",
  "too-large",
  "no-examples",
  "policy",
  "closed",
  "origin-refused",
  "missing-file",
  "changed-file",
  "internal",
]);

/** An error with a code. */
export class ChoirError extends Error {
  override readonly name = "ChoirError";

  constructor(
    readonly code: ChoirErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** Turns whatever was thrown into a [`ChoirError`]; wasm throws `{code, message}` objects. */
export function asChoirError(thrown: unknown): ChoirError {
  if (thrown instanceof ChoirError) return thrown;
  if (typeof thrown === "object" && thrown !== null && "message" in thrown) {
    const message = String(thrown.message);
    const code = "code" in thrown ? String(thrown.code) : "internal";
    return new ChoirError(CODES.has(code) ? (code as ChoirErrorCode) : "internal", message);
  }
  return new ChoirError("internal", String(thrown));
}
