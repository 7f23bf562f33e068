/** The readable text of a page: read by the function as the browser sends it, from a page of a few nodes. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { PageText } from "../extension/src/page_text.ts";
import { readPage, textFrom } from "../extension/src/page_text.ts";
import { parsePassages } from "../packages/sdk/src/passages.ts";

type Style = Record<string, string>;
interface Box {
  readonly width: number;
  readonly height: number;
  readonly right: number;
  readonly bottom: number;
}

const INLINE = new Set(["a", "b", "em", "span", "br"]);
const IN_VIEW: Box = { width: 100, height: 20, right: 100, bottom: 20 };

/** As much of an element as the reading asks for. */
class Node {
  readonly nodeType = 1;
  readonly childNodes: readonly (Node | { nodeType: 3; nodeValue: string })[];
  parentElement: Node | null = null;
  style: Style;
  box = IN_VIEW;
  isContentEditable = false;

  constructor(
    readonly localName: string,
    readonly attributes: Record<string, string>,
    children: readonly (Node | string)[],
  ) {
    this.childNodes = children.map((child) => (typeof child === "string" ? { nodeType: 3, nodeValue: child } : child));
    for (const child of children) if (typeof child !== "string") child.parentElement = this;
    this.style = { display: INLINE.has(localName) ? "inline" : "block", visibility: "visible", opacity: "1", overflow: "visible", whiteSpace: "normal", fontSize: "16px" };
  }

  with(style: Style, box: Partial<Box> = {}): this {
    this.style = { ...this.style, ...style };
    this.box = { ...this.box, ...box };
    return this;
  }

  getAttribute = (name: string): string | null => this.attributes[name] ?? null;
  hasAttribute = (name: string): boolean => name in this.attributes;
  getBoundingClientRect = (): Box => this.box;
  checkVisibility = (): boolean => this.style["display"] !== "none";
  contains = (other: Node | null): boolean => other !== null && (other === this || this.contains(other.parentElement));
  all = (): Node[] => [this, ...this.childNodes.flatMap((child) => (child instanceof Node ? child.all() : []))];
}

const node = (name: string, ...children: (Node | string)[]): Node => new Node(name, {}, children);
const marked = (name: string, attributes: Record<string, string>, ...children: (Node | string)[]): Node => new Node(name, attributes, children);

/** Sent as text, as the browser does it: a name from outside of the function is not known there. */
function read(body: Node, most = 1_000): PageText {
  const matches = ({ localName, attributes }: Node, kinds: string): boolean =>
    kinds.split(", ").some((kind) => kind === localName || (kind === "[role=main]" && attributes["role"] === "main"));
  const document = { contentType: "text/html", querySelectorAll: (kinds: string) => body.all().filter((one) => matches(one, kinds)) };
  const names = ["document", "location", "getComputedStyle", "scrollX", "scrollY"];
  const sent = new Function(...names, `"use strict"; return (${String(readPage)})(${most});`);
  return sent(document, { origin: "https://shop.example" }, ({ style }: Node) => style, 0, 0) as PageText;
}

test("paragraphs are told apart by a blank line, as passages need them", () => {
  const { text, site, type } = read(
    node("body", node("main", node("h1", "A  title"), "\n  ", node("p", "One ", node("b", "bold"), "\n word."), node("ul", node("li", "first"), node("li", "second")))),
  );
  assert.equal(text, "A title\n\nOne bold word.\n\nfirst\n\nsecond");
  assert.deepEqual([site, type], ["https://shop.example", "text/html"]);
  assert.deepEqual(parsePassages(text).examples.map((example) => example.text), ["A title", "One bold word.", "first", "second"]);
});

test("lines of verse and of code stay lines, cells of a row stay in one", () => {
  const cell = (text: string) => node("td", text).with({ display: "table-cell" });
  const row = node("tr", cell("1"), cell("2")).with({ display: "table-row" });
  const { text } = read(node("body", node("p", "Shall I compare thee", node("br"), " to a day?"), node("pre", "if a:\n    b").with({ whiteSpace: "pre" }), row));
  assert.equal(text, "Shall I compare thee\nto a day?\n\nif a:\n    b\n\n1 2");
});

test("the main part is read, else the articles, else the body without its frame", () => {
  const article = node("article", node("p", "An article."), node("article", "A comment."));
  const around = [node("header", "Site"), node("p", "Beside"), node("footer", "Imprint")];
  assert.equal(read(node("body", ...around, node("main", "Main."), article)).text, "Main.");
  assert.equal(read(node("body", ...around, marked("div", { role: "main" }, "Main."))).text, "Main.");
  assert.equal(read(node("body", ...around, article, node("article", "Another."))).text, "An article.\n\nA comment.\n\nAnother.");
  assert.equal(read(node("body", ...around)).text, "Beside");
  assert.equal(read(node("body", node("main").with({}), node("article", "Found."))).text, "Found.", "a main part without text is none");
  assert.equal(read(node("body", node("main", "Not shown").with({ display: "none" }), node("p", "Shown"))).text, "Shown");
});

test("scripts, navigation, fields and what is being written are left out", () => {
  const editable = node("div", "a letter that somebody writes");
  editable.isContentEditable = true;
  const left = ["script", "style", "noscript", "template", "nav", "aside", "button", "input", "textarea", "select", "output", "iframe", "svg", "dialog"];
  const fields = left.map((name) => node(name, `within ${name}`));
  const roles = ["navigation", "search", "textbox", "dialog"].map((role) => marked("div", { role }, `with role ${role}`));
  assert.equal(read(node("body", node("form", node("p", "Kept."), ...fields, ...roles), editable)).text, "Kept.");
});

test("what the visitor does not see is left out", () => {
  const unseen = [
    node("p", "gone").with({ display: "none" }),
    node("p", "not laid out").with({ display: "" }),
    node("p", "transparent").with({ opacity: "0" }),
    node("p", "not rendered").with({ contentVisibility: "hidden" }),
    node("p", "of no size").with({ fontSize: "0px" }),
    node("p", "cut to a dot").with({ overflow: "hidden" }, { width: 1, height: 1 }),
    node("p", "off the page").with({}, { right: -9_000 }),
    marked("p", { "aria-hidden": "true" }, "hidden from readers"),
    marked("details", {}, node("p", "folded up"), node("summary", "A summary.")),
  ];
  const veil = node("div", "veiled", node("p", "but this is not")).with({ visibility: "hidden" });
  assert.equal(read(node("body", node("p", "Seen."), ...unseen, veil, marked("details", { open: "" }, node("p", "Unfolded.")))).text, "Seen.\n\nA summary.\n\nbut this is not\n\nUnfolded.");
});

test("reading stops behind what may be taken", () => {
  const body = node("body", ...Array.from({ length: 1_000 }, (_, index) => node("p", `paragraph ${index}`)));
  const { text } = read(body, 100);
  assert.ok(text.length > 100 && text.length < 150, `${text.length} characters`);
});

test("a page that is no text, cannot be read or is another by now gives nothing", () => {
  const page: PageText = { site: "https://shop.example", type: "text/html", text: "Some text." };
  assert.deepEqual(textFrom(page, page.site), { text: "Some text." });
  const refusal = (given: PageText | null, site = page.site) => JSON.stringify(textFrom(given, site));
  assert.match(refusal(null), /cannot be read/);
  assert.match(refusal({ ...page, type: "application/pdf" }), /cannot be read: it is no text but application\/pdf/);
  assert.match(refusal(page, "https://other.example"), /changed before it could be read/);
});
