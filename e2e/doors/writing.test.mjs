// The editor of a task that writes: text is suggested behind the caret, taken by keys, and gone as soon
// as the visitor types on; what was written is learned from only where the visitor says so.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { compareAdapters, openDemo, suggestionIn, writeInEditor } from "../lib/demo_page.mjs";
import { door, openBrowser } from "../lib/door.mjs";

const PATIENCE = { timeout: 120_000 };
const BEGINNING = "Once upon a time, there was a little";

const { url, writingTask } = door();
let browser;

before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

/** A visitor who has opted in; every request of theirs is noted. */
async function openWriter(t) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE.timeout);
  const asked = [];
  context.on("request", (request) => asked.push(request.url()));
  await openDemo(page, url, { task: writingTask, engine: "cpu" });
  assert.equal(await page.locator("#writing").isVisible(), false, "no editor before a yes");
  await page.locator("#consent").check();
  await page.locator("#writing").waitFor();
  return { page, asked };
}

const textIn = (page) => page.locator("#editor").inputValue();
const ghostIn = (page) => page.locator("#ghost").textContent();
const focused = (page) => page.evaluate(() => document.activeElement.id);

test("what is suggested behind the caret is taken by Tab, as a whole", PATIENCE, async (t) => {
  const { page, asked } = await openWriter(t);
  const { text, tokensPerSecond, adapter } = await writeInEditor(page, BEGINNING);
  assert.match(text, /^ \w+/);
  assert.ok(tokensPerSecond > 0, `${tokensPerSecond} tokens a second`);
  assert.equal(adapter, "global");
  assert.match(await page.locator("#writing-speed").textContent(), /[\d,]+ tokens per second/);
  assert.equal(await textIn(page), BEGINNING, "it is no part of the text yet");
  assert.equal(await page.locator("#ghost-spoken").textContent(), `Suggestion: ${text.trim()}. Tab takes it, Escape drops it.`);
  const askedBefore = asked.length;
  await page.keyboard.press("Tab");
  assert.equal(await textIn(page), BEGINNING + text);
  assert.equal(await focused(page), "editor");
  const next = await suggestionIn(page);
  assert.notEqual(next.text, text);
  assert.deepEqual(asked.slice(askedBefore), [], "the aggregator is asked nothing while a text is written");
  await page.keyboard.press("Control+z");
  assert.equal(await textIn(page), BEGINNING, "the browser's own undo takes it back");
});

test("typing on takes a suggestion away at once, and ends one that is being made", PATIENCE, async (t) => {
  const { page } = await openWriter(t);
  await page.locator("#writing-ends").selectOption("length");
  await page.locator("#writing-length").selectOption("64");
  const { text } = await writeInEditor(page, BEGINNING);
  await page.keyboard.press("x");
  assert.equal(await ghostIn(page), "");
  assert.equal(await textIn(page), `${BEGINNING}x`);
  // In the midst of being made: nothing of it may come behind the next key.
  const stillThere = await page.evaluate(async () => {
    const [box, ghost, frame] = ["editor", "ghost", "editor-frame"].map((id) => document.getElementById(id));
    const type = () => {
      document.execCommand("insertText", false, "y");
      return box.value;
    };
    type();
    while (!frame.classList.contains("busy")) await new Promise((next) => setTimeout(next, 0));
    const typed = type();
    const shown = ghost.textContent;
    const isBusy = frame.classList.contains("busy");
    // Less than the pause after which another begins.
    await new Promise((next) => setTimeout(next, 150));
    return { typed, shown, isBusy, later: ghost.textContent };
  });
  assert.deepEqual(stillThere, { typed: `${BEGINNING}xyy`, shown: "", isBusy: false, later: "" });
  assert.notEqual((await suggestionIn(page)).text, text);
});

test("the keyboard alone does all: a word, a drop, a suggestion asked for; Tab is free where nothing is shown", PATIENCE, async (t) => {
  const { page } = await openWriter(t);
  const { text } = await writeInEditor(page, BEGINNING);
  const word = /^\s*\S+/.exec(text)[0];
  await page.keyboard.press("Control+ArrowRight");
  assert.deepEqual([await textIn(page), await ghostIn(page)], [BEGINNING + word, text.slice(word.length)]);
  await page.keyboard.press("Escape");
  assert.equal(await ghostIn(page), "");
  await page.keyboard.press("Control+Space");
  assert.equal((await suggestionIn(page)).text, text.slice(word.length));
  // A caret that moved away takes it away.
  await page.keyboard.press("Home");
  await page.waitForFunction(() => document.querySelector("#ghost").textContent === "", null, PATIENCE);
  await page.keyboard.press("End");
  await page.keyboard.press("Tab");
  assert.notEqual(await focused(page), "editor");
  assert.equal(await textIn(page), BEGINNING + word);
});

test("base model and global adapter are compared on the same text", PATIENCE, async (t) => {
  const { page } = await openWriter(t);
  const { text } = await writeInEditor(page, BEGINNING);
  assert.equal(await page.locator("#adapter-own").isDisabled(), true, "nothing was trained here");
  const compared = await compareAdapters(page);
  // Version 0 of an adapter changes nothing.
  assert.deepEqual(compared, [
    { name: "Base model", text: text.trim() },
    { name: "Global adapter", text: text.trim() },
  ]);
  await page.locator("label[for=adapter-base]").click();
  assert.deepEqual(await suggestionIn(page).then(({ text, adapter }) => [text, adapter]), [text, "base"]);
});

test("what was written, and files, are learned from once the visitor says so and starts", PATIENCE, async (t) => {
  const { page } = await openWriter(t);
  await writeInEditor(page, BEGINNING);
  await page.locator("#learn").click();
  assert.equal(await page.locator("#text").inputValue(), BEGINNING);
  assert.match(await page.locator("#learn-note").textContent(), /1 passage.*Nothing is trained until you start/);
  const file = (name, text) => ({ name, mimeType: "text/plain", buffer: Buffer.from(text) });
  await page.locator("#writing-file").setInputFiles([file("notes.md", "# One\n\nTwo lines\nof text."), file("picture.png", "no")]);
  await page.waitForFunction(() => /picture\.png was not read/.test(document.querySelector("#learn-note").textContent));
  assert.match(await page.locator("#data-report").textContent(), /3 passages are ready/);
  assert.equal(await page.evaluate(() => window.choirDemo.state), "ready", "nothing has begun");
  await page.locator("#start").click();
  await page.waitForFunction(() => window.choirDemo.losses.length > 0, null, PATIENCE);
  await page.waitForFunction(() => !document.querySelector("#adapter-own").disabled, null, PATIENCE);
});
