/**
 * The readable text of a page. `readPage` is sent into the page by the browser as it stands here, once
 * for each choice in the menu, and so may use nothing that is outside of it.
 */

/** What a page gave. */
export interface PageText {
  /** The origin that was read, to be held against the one that was meant. */
  readonly site: string;
  /** The document's type: only text is read. */
  readonly type: string;
  /** Paragraphs in the order of the page, with a blank line between two. */
  readonly text: string;
}

/** Reads what a visitor sees of the page's content, and stops behind `most` characters. */
export function readPage(most: number): PageText {
  const LEFT_OUT = new Set(
    "script style noscript template nav aside menu dialog button input textarea select option datalist output iframe frame object embed svg math canvas audio video map rp rt".split(" "),
  );
  const LEFT_OUT_ROLES = new Set(
    "navigation menu menubar toolbar tablist search searchbox textbox combobox listbox spinbutton banner contentinfo complementary dialog alertdialog alert status".split(" "),
  );
  const FRAME_OF_BODY = new Set(["header", "footer"]);
  const paragraphs: string[] = [];
  let paragraph = "";
  let length = 0;

  const endParagraph = (): void => {
    const text = paragraph.trim();
    paragraph = "";
    if (text === "") return;
    paragraphs.push(text);
    length += text.length;
  };
  const addText = (text: string, style: CSSStyleDeclaration): void => {
    if (style.visibility !== "visible") return;
    const words = /^(?:pre|break)/.test(style.whiteSpace) ? text : text.replace(/\s+/g, " ");
    paragraph += words.startsWith(" ") && /(?:^|\s)$/.test(paragraph) ? words.trimStart() : words;
  };
  const isUnseen = (element: HTMLElement, style: CSSStyleDeclaration): boolean => {
    const isGone = style.display === "none" || style.display === "" || style.contentVisibility === "hidden";
    if (isGone || style.opacity === "0" || style.fontSize === "0px") return true;
    const { width, height, right, bottom } = element.getBoundingClientRect();
    const isCutToNothing = style.overflow !== "visible" && (width <= 1 || height <= 1);
    const isOffThePage = width > 0 && height > 0 && (right + scrollX <= 0 || bottom + scrollY <= 0);
    return isCutToNothing || isOffThePage;
  };
  const isLeftOut = (element: HTMLElement, root: HTMLElement): boolean => {
    if (LEFT_OUT.has(element.localName) || LEFT_OUT_ROLES.has(element.getAttribute("role") ?? "")) return true;
    if (root.localName === "body" && FRAME_OF_BODY.has(element.localName)) return true;
    if (element.isContentEditable || element.getAttribute("aria-hidden") === "true") return true;
    const parent = element.parentElement;
    return parent?.localName === "details" && !parent.hasAttribute("open") && element.localName !== "summary";
  };
  const readChildren = (element: HTMLElement, style: CSSStyleDeclaration, root: HTMLElement): void => {
    if (element.isContentEditable) return;
    for (const child of element.childNodes) {
      if (length > most) return;
      if (child.nodeType === 3) addText(child.nodeValue ?? "", style);
      else if (child.nodeType === 1) readElement(child as HTMLElement, root);
    }
  };
  const readElement = (element: HTMLElement, root: HTMLElement): void => {
    if (isLeftOut(element, root)) return;
    const style = getComputedStyle(element);
    if (isUnseen(element, style)) return;
    if (element.localName === "br") {
      paragraph += "\n";
      return;
    }
    const isCell = style.display === "table-cell";
    const isBlock = !isCell && !/^(?:inline|contents|ruby)/.test(style.display);
    if (isBlock) endParagraph();
    readChildren(element, style, root);
    if (isCell) paragraph += " ";
    if (isBlock) endParagraph();
  };
  /** Those in view that are not within another of them. */
  const outermost = (kinds: string): HTMLElement[] => {
    const found = [...document.querySelectorAll<HTMLElement>(kinds)].filter((element) => element.checkVisibility());
    return found.filter((element) => !found.some((other) => other !== element && other.contains(element)));
  };

  for (const kinds of ["main, [role=main]", "article", "body"]) {
    for (const root of outermost(kinds)) {
      readChildren(root, getComputedStyle(root), root);
      endParagraph();
    }
    if (paragraphs.length > 0) break;
  }
  return { site: location.origin, type: document.contentType, text: paragraphs.join("\n\n") };
}

/** The text of what the page gave, or why it is not taken. */
export function textFrom(given: PageText | null | undefined, site: string): { readonly text: string } | { readonly refused: string } {
  if (given === null || given === undefined) return { refused: "this page cannot be read" };
  if (given.site !== site) return { refused: "the page changed before it could be read, so nothing was taken from it" };
  const isText = given.type.startsWith("text/") || given.type === "application/xhtml+xml";
  return isText ? { text: given.text } : { refused: `this page cannot be read: it is no text but ${given.type}` };
}
