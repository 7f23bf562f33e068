/** Typed access to the page's own elements. */

/** The element with this id; the page is wrong if it has none of this kind. */
export function byId<T extends HTMLElement>(id: string, kind: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return element;
}

/** Sets the text where it differs, so that a live region speaks only of what changed. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A new element with text. */
export function make(name: string, text = "", className = ""): HTMLElement {
  const element = document.createElement(name);
  element.textContent = text;
  if (className !== "") element.className = className;
  return element;
}

/** 1,234,567 bytes as "1.2 MB". */
export function bytes(count: number): string {
  if (count < 1_000) return `${count} B`;
  if (count < 1_000_000) return `${(count / 1_000).toFixed(1)} kB`;
  return `${(count / 1_000_000).toFixed(1)} MB`;
}

/** 0.847 as "85 %". */
export function percent(fraction: number): string {
  return `${Math.round(fraction * 100)} %`;
}
