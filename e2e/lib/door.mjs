// What every door's test stands on: the aggregator and tasks it was given, a browser, and the other
// visitors without whom no round closes.
import { readFileSync } from "node:fs";
import { launchBrowser } from "./browser.mjs";
import { openDemo, takePart } from "./demo_page.mjs";

/** What `cargo xtask doors` tells: addresses, tasks, folders. */
export function door() {
  const file = process.env.CHOIR_DOORS;
  if (!file) throw new Error("start this by `cargo xtask doors`: CHOIR_DOORS names no file");
  return JSON.parse(readFileSync(file, "utf8"));
}

export const openBrowser = launchBrowser;

/**
 * Opens `count` ordinary demo tabs that take part in the rounds of `task` with shares of their own, by
 * default those of labelled messages.
 */
export async function fillers(browser, count, { task, engine = "cpu", shares = door().shares } = {}) {
  const { url, task: usual } = door();
  const contexts = [];
  for (let index = 0; index < count; index += 1) {
    // The first share is for the visitor under test.
    const share = shares[1 + (index % (shares.length - 1))];
    const context = await browser.newContext();
    contexts.push(context);
    const page = await context.newPage();
    await openDemo(page, url, { task: task ?? usual, engine, seed: index + 1 });
    await takePart(page, share);
  }
  return {
    async close() {
      for (const context of contexts) await context.close();
    },
  };
}
