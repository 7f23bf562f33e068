/** Sites that were opted in, and the texts that were added from them. Pure: no storage, no browser. */

/** A text that the visitor added. */
export interface Collected {
  readonly id: string;
  readonly text: string;
  /** Empty for plain text, which a language task learns from. */
  readonly label: string;
  /** The site's origin. */
  readonly site: string;
}

/** Everything about taking text from pages. */
export interface Collection {
  /** Origins that were opted in. */
  readonly sites: readonly string[];
  readonly examples: readonly Collected[];
}

/** What the visitor took a text from. */
export type Source = "selection" | "page";

/** A text on its way in. */
export interface Candidate {
  readonly id: string;
  readonly text: string | undefined;
  readonly label: string;
  readonly url: string | undefined;
  readonly source: Source;
}

/** Longer selections are more than a message; the model reads far less. */
export const LONGEST_TEXT = 4_000;
/** Fewer characters of plain text are no sentence to learn from. */
export const SHORTEST_PLAIN = 20;
/** More than an essay; a book comes by a file on a page that takes files. */
export const LONGEST_PLAIN = 200_000;
export const MOST_EXAMPLES = 2_000;
/** Of all texts together: an extension's storage holds 10 MB, and a character may take three bytes. */
export const MOST_CHARACTERS = 2_000_000;
/** Characters of a plain text that are shown of it. */
const FIRST_WORDS = 80;

/** The origin of a page of the web; `null` for the browser's own pages and what is no address. */
export function siteOf(address: string | undefined): string | null {
  if (address === undefined || !URL.canParse(address)) return null;
  const { protocol, origin } = new URL(address);
  return protocol === "https:" || protocol === "http:" ? origin : null;
}

/** The site of a page if its text may be taken, or why not: asked before a page is read. */
export function openSite(sites: readonly string[], url: string | undefined): { readonly site: string } | { readonly refused: string } {
  const site = siteOf(url);
  if (site === null) return { refused: "text is taken from web pages only" };
  if (!sites.includes(site)) return { refused: `${site} is not opted in, so nothing was taken from it` };
  return { site };
}

/** The collection with one more text, or why it is not taken. */
export function added({ sites, examples }: Collection, candidate: Candidate): Collection | { readonly refused: string } {
  const found = openSite(sites, candidate.url);
  if ("refused" in found) return found;
  const { id, label, source } = candidate;
  const text = (candidate.text ?? "").trim();
  const refused = wrongLength(text, label, source) ?? noRoom(examples, text, label);
  if (refused !== null) return { refused };
  return { sites, examples: [...examples, { id, text, label, site: found.site }] };
}

function wrongLength(text: string, label: string, source: Source): string | null {
  const isPlain = label === "";
  const longest = isPlain ? LONGEST_PLAIN : LONGEST_TEXT;
  if (text === "") return source === "page" ? "this page has no text that could be read" : "no text is selected";
  if (isPlain && text.length < SHORTEST_PLAIN) return `the ${source}'s text is too short: it has ${text.length} characters, and ${SHORTEST_PLAIN} are the least`;
  if (text.length <= longest) return null;
  const remedy = source === "page" ? "; select the part that matters and add that" : "";
  return `the ${source}'s text is longer than ${longest} characters${remedy}`;
}

function noRoom(examples: readonly Collected[], text: string, label: string): string | null {
  if (examples.some((known) => known.text === text && known.label === label)) return "this text was added before";
  if (examples.length >= MOST_EXAMPLES) return `there are ${MOST_EXAMPLES} examples already`;
  const characters = examples.reduce((sum, known) => sum + known.text.length, text.length);
  return characters > MOST_CHARACTERS ? `with this text there would be more than ${MOST_CHARACTERS} characters; delete some first` : null;
}

/** Opts a site in, or out together with its texts. */
export function withSite({ sites, examples }: Collection, site: string, isUsed: boolean): Collection {
  const others = sites.filter((known) => known !== site);
  if (isUsed) return { sites: [...others, site], examples };
  return { sites: others, examples: examples.filter((example) => example.site !== site) };
}

/** The collection without one text. */
export function without({ sites, examples }: Collection, id: string): Collection {
  return { sites, examples: examples.filter((example) => example.id !== id) };
}

/** What a task may learn from: plain text or the labels that it names, never the one for the other. */
export function learnedBy(task: { readonly payload: string; readonly labels: readonly string[] }, examples: readonly Collected[]): Collected[] {
  if (task.payload === "language") return examples.filter(({ label }) => label === "");
  return examples.filter(({ label }) => label !== "" && task.labels.includes(label));
}

/** A text as the popup lists it: a message with its label, of plain text where it is from, how it begins and how long it is. */
export function inWords({ label, text, site }: Collected): string {
  if (label !== "") return `${label}: ${text}`;
  const words = text.replace(/\s+/g, " ");
  const beginning = words.length <= FIRST_WORDS ? words : `${words.slice(0, FIRST_WORDS).replace(/\s+\S*$/, "")} …`;
  return `${site}: ${beginning} (${text.length.toLocaleString("en")} characters)`;
}
