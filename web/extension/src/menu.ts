/** The context menu: what it offers for a task, and what a choice in it means. Pure. */

import type { Source } from "./collection.ts";

/** An entry as the browser is given it. */
export interface MenuEntry {
  readonly id: string;
  readonly title: string;
  readonly contexts: readonly string[];
  readonly parentId?: string;
}

/** What the visitor chose to add; the label is empty for plain text. */
export interface Choice {
  readonly source: Source;
  readonly label: string;
}

const LABELLED = "add";
const PLAIN: Record<Source, MenuEntry> = {
  selection: { id: "text/selection", title: "Add the selection to Choir", contexts: ["selection"] },
  page: { id: "text/page", title: "Add this page's text to Choir", contexts: ["page"] },
};

/** Plain text for a language task, one entry per label for a classifier, nothing without a task. */
export function menuFor(task: { readonly payload: string; readonly labels: readonly string[] } | null): readonly MenuEntry[] {
  if (task === null) return [];
  if (task.payload === "language") return [PLAIN.selection, PLAIN.page];
  if (task.labels.length === 0) return [];
  const contexts = ["selection"];
  const ofLabel = (label: string): MenuEntry => ({ id: `${LABELLED}/${label}`, parentId: LABELLED, title: label, contexts });
  return [{ id: LABELLED, title: "Add to Choir as", contexts }, ...task.labels.map(ofLabel)];
}

/** What the entry of that id stands for. */
export function choiceOf(id: string | number): Choice {
  if (id === PLAIN.page.id) return { source: "page", label: "" };
  if (id === PLAIN.selection.id) return { source: "selection", label: "" };
  return { source: "selection", label: String(id).slice(`${LABELLED}/`.length) };
}
