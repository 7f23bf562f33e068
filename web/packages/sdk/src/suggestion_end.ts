/** Where a suggestion ends: at the end of a sentence or line, else after a whole word. */

/** What ends a suggestion before its length does. */
export type SuggestionEnd = "sentence" | "line" | "length";

/** A sentence's last marks, with what may close after them. */
const SENTENCE = /[.!?…]+["'”’)\]]*(?=\s)/;
const LAST_SENTENCE = /[.!?…]+["'”’)\]]*$/;

/** What is shown of a continuation, and whether that is all of it. */
export interface CutText {
  readonly text: string;
  readonly finished: boolean;
}

/**
 * Cuts a continuation as far as it has come. `isWhole` where nothing will follow: then a last word that
 * may have been broken off is left out, unless it is the only one or `endedItself` says that the model
 * has ended the text.
 */
export function cutSuggestion(continuation: string, end: SuggestionEnd, isWhole: boolean, endedItself = false): CutText {
  const lead = continuation.length - continuation.trimStart().length;
  const body = continuation.slice(lead);
  const at = endOf(body, end);
  if (at !== null) return { text: continuation.slice(0, lead + at).trimEnd(), finished: true };
  if (!isWhole) return { text: continuation.trimEnd(), finished: false };
  const isComplete = endedItself || /\s$/.test(body) || (end === "sentence" && LAST_SENTENCE.test(body));
  const text = isComplete ? continuation : withoutLastWord(continuation, lead);
  return { text: text.trimEnd(), finished: true };
}

/** The place after the last character that is kept; `null` where it goes on. */
function endOf(body: string, end: SuggestionEnd): number | null {
  if (end === "length") return null;
  const line = body.indexOf("\n");
  const found = end === "sentence" ? SENTENCE.exec(body) : null;
  const ends = [line === -1 ? null : line, found === null ? null : found.index + found[0].length];
  const known = ends.filter((at) => at !== null);
  return known.length === 0 ? null : Math.min(...known);
}

function withoutLastWord(continuation: string, lead: number): string {
  const space = continuation.search(/\s\S*$/);
  return space > lead ? continuation.slice(0, space) : continuation;
}
