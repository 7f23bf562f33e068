/** Sites that were opted in, and the texts that were added from them. Pure: no storage, no browser. */

/** A text that the visitor selected and added. */
export interface Collected {
  readonly id: string;
  readonly text: string;
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

/** A text on its way in. */
export interface Candidate {
  readonly id: string;
  readonly text: string | undefined;
  readonly label: string;
  readonly url: string | undefined;
}

/** Longer selections are more than a message; the model reads far less. */
export const LONGEST_TEXT = 4_000;
export const MOST_EXAMPLES = 2_000;

/** The origin of a page of the web; `null` for the browser's own pages and what is no address. */
export function siteOf(address: string | undefined): string | null {
  if (address === undefined || !URL.canParse(address)) return null;
  const { protocol, origin } = new URL(address);
  return protocol === "https:" || protocol === "http:" ? origin : null;
}

/** The collection with one more text, or why it is not taken. */
export function added({ sites, examples }: Collection, candidate: Candidate): Collection | { readonly refused: string } {
  const site = siteOf(candidate.url);
  if (site === null) return { refused: "text is taken from web pages only" };
  if (!sites.includes(site)) return { refused: `${site} is not opted in, so nothing was taken from it` };
  const text = (candidate.text ?? "").trim();
  if (text === "") return { refused: "no text is selected" };
  if (text.length > LONGEST_TEXT) return { refused: `the selection is longer than ${LONGEST_TEXT} characters` };
  if (examples.length >= MOST_EXAMPLES) return { refused: `there are ${MOST_EXAMPLES} examples already` };
  const { id, label } = candidate;
  if (examples.some((known) => known.text === text && known.label === label)) return { refused: "this text was added before" };
  return { sites, examples: [...examples, { id, text, label, site }] };
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
