// How a visitor uses the demo page: the only file here that knows what the page looks like.

const PATIENCE_MS = 120_000;

/** Opens the page and waits until it has read what its task is. */
export async function openDemo(page, address, { task, engine, seed, threads = 1, policy = "demo", helper }) {
  const url = new URL(address);
  if (task) url.searchParams.set("task", task);
  if (engine) url.searchParams.set("engine", engine);
  // Several tabs share the machine's cores as they are.
  url.searchParams.set("threads", String(threads));
  url.searchParams.set("policy", policy);
  if (helper) url.searchParams.set("helper", helper);
  // All of a share is trained on: what is held out is evaluated elsewhere.
  url.searchParams.set("heldout", "off");
  if (seed !== undefined) url.searchParams.set("seed", String(seed));
  await page.goto(url.href);
  await page.waitForFunction(() => window.choirDemo !== undefined, null, { timeout: PATIENCE_MS });
}

/** Opts in, chooses the file, and starts. */
export async function takePart(page, share) {
  page.setDefaultTimeout(PATIENCE_MS);
  await page.locator("#consent").check();
  await page.waitForFunction(() => window.choirDemo.state !== "asking", null, { timeout: PATIENCE_MS });
  const { state, problem } = await page.evaluate(() => ({ state: window.choirDemo.state, problem: window.choirDemo.problem }));
  if (state !== "ready") throw new Error(`the page cannot take part: ${problem ?? state}`);
  await page.locator("#file").setInputFiles(share);
  await page.locator("#start").click();
}

/** What the page's session told it, from the given place of its log on. */
export function eventsSince(page, place) {
  return page.evaluate((from) => window.choirDemo.events.slice(from), place);
}

/** Types into the editor of a language task and waits until what is suggested behind it is finished. */
export async function writeInEditor(page, text) {
  const editor = page.locator("#editor");
  await editor.scrollIntoViewIfNeeded();
  await editor.fill("");
  await editor.pressSequentially(text, { delay: 15 });
  return suggestionIn(page);
}

/** What is suggested behind the caret, once it is finished; fails with what the page says instead. */
export async function suggestionIn(page, patience = PATIENCE_MS) {
  const isShown = () => {
    const isFinished = !document.querySelector("#editor-frame").classList.contains("busy");
    return isFinished && document.querySelector("#ghost").textContent.trim() !== "";
  };
  try {
    await page.waitForFunction(isShown, null, { timeout: patience });
  } catch {
    const note = await page.locator("#writing-note").textContent();
    throw new Error(`no suggestion appeared in the editor within ${patience / 1000} s; the page says: ${note}`);
  }
  return page.evaluate(() => {
    const { tokensPerSecond, adapter, version } = document.querySelector("#writing-speed").dataset;
    const text = document.querySelector("#ghost").textContent;
    return { text, tokensPerSecond: Number(tokensPerSecond) || null, adapter, version: Number(version) };
  });
}

/** The same text by each adapter that the tab has: `[{ name, text }]`. */
export async function compareAdapters(page) {
  await page.locator("#compare").click();
  await page.waitForFunction(() => !document.querySelector("#compare").disabled, null, { timeout: PATIENCE_MS });
  return page.locator("#compared dt").evaluateAll((names) =>
    names.map((name) => ({ name: name.textContent, text: name.nextElementSibling.textContent })),
  );
}
