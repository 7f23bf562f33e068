/**
 * The part of a text that fits a decoder's context: its end. It moves in leaps, so that most of the
 * keys and values that were read for the last suggestion are still those of the next.
 */

/** The window moves by this part of itself. */
const LEAPS = 4;
/** More characters than this for each token of the context are not even made tokens. */
const CHARACTERS_PER_TOKEN = 16;

/** The end of a text that is worth tokenising for a context of so many tokens; it begins at a word. */
export function textWindow(text: string, context: number): string {
  const start = leap(text.length, context * CHARACTERS_PER_TOKEN);
  if (start === 0) return text;
  const space = text.slice(start).search(/\s/);
  return text.slice(space === -1 ? start : start + space + 1);
}

/** At most `most` tokens of a text, the last ones, behind the token that begins a text, if there is one. */
export function tokenWindow(begin: number | null, tokens: readonly number[], most: number): number[] {
  const before = begin === null ? [] : [begin];
  return [...before, ...tokens.slice(leap(tokens.length, most - before.length))];
}

/** How many tokens two rows begin with alike. */
export function commonLength(one: readonly number[], other: readonly number[]): number {
  const shorter = Math.min(one.length, other.length);
  for (let at = 0; at < shorter; at += 1) if (one[at] !== other[at]) return at;
  return shorter;
}

function leap(length: number, most: number): number {
  if (length <= most) return 0;
  const size = Math.max(1, Math.floor(most / LEAPS));
  return Math.min(length, Math.ceil((length - most) / size) * size);
}
