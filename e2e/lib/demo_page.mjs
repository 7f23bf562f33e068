// How a visitor uses the demo page: the only file here that knows what the page looks like.

const PATIENCE_MS = 120_000;

/** Opens the page and waits until it has read what its task is. */
export async function openDemo(page, address, { task, engine, seed, policy = "demo", helper }) {
  const url = new URL(address);
  if (task) url.searchParams.set("task", task);
  if (engine) url.searchParams.set("engine", engine);
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
