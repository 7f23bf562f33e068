/**
 * The service worker: keeps the storage, offers the context menu, and has the offscreen document
 * train. It may be stopped at any time, so nothing is kept here.
 */

import type { Candidate } from "./collection.ts";
import { added, learnedBy, LONGEST_PLAIN, openSite, siteOf, without, withSite } from "./collection.ts";
import { choiceOf, menuFor } from "./menu.ts";
import type { Answer, Command, Order } from "./messages.ts";
import { isFor } from "./messages.ts";
import { readPage, textFrom } from "./page_text.ts";
import type { Stored } from "./storage.ts";
import { AGREEMENT, read, write } from "./storage.ts";

const DONE: Answer = { problem: null, task: null };
const NOTHING_LEARNS_TEXT = "there is no task that you agreed to and that learns from plain text";

/** One change after the other: each reads what the one before has written. */
let last: Promise<unknown> = Promise.resolve();

chrome.runtime.onInstalled.addListener(() => void inTurn(begin));

chrome.contextMenus.onClicked.addListener(({ menuItemId, selectionText, pageUrl, frameUrl }, tab) => {
  const choice = choiceOf(menuItemId);
  const id = crypto.randomUUID();
  if (choice.source === "page") void inTurn(() => collectPage({ ...choice, id, url: pageUrl }, tab?.id));
  // A frame of another site is that site's text, whatever page it is on.
  else void inTurn(() => collect({ ...choice, id, text: selectionText, url: siteOf(frameUrl) ?? pageUrl }));
});

chrome.runtime.onMessage.addListener((message, _sender, reply) => {
  if (!isFor<Command>("background", message)) return undefined;
  inTurn(() => carryOut(message)).then(reply, (thrown: unknown) => reply({ problem: thrown instanceof Error ? thrown.message : String(thrown) }));
  return true;
});

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = last.then(work);
  last = result.catch(() => undefined);
  return result;
}

/** After an update the menu is made anew, and what the visitor agreed to may have become another thing. */
async function begin(): Promise<void> {
  const { hasConsent, agreement, task } = await read();
  if (!hasConsent || agreement === AGREEMENT) return offer(task);
  await withdrawn();
  await write({ notice: "what happens has changed with this version: read it and agree again" });
}

async function collect(candidate: Candidate): Promise<void> {
  const stored = await read();
  if (candidate.label === "" && !learnsText(stored)) return refuse(NOTHING_LEARNS_TEXT);
  const result = added(stored, candidate);
  if ("refused" in result) return refuse(result.refused);
  await write({ examples: result.examples, notice: null });
  await chrome.action.setBadgeText({ text: String(result.examples.length) });
}

/** A page is looked at only once its site is known to be opted in, for a task that learns from plain text. */
async function collectPage(candidate: Omit<Candidate, "text">, tab: number | undefined): Promise<void> {
  const stored = await read();
  if (!learnsText(stored)) return refuse(NOTHING_LEARNS_TEXT);
  const found = openSite(stored.sites, candidate.url);
  if ("refused" in found) return refuse(found.refused);
  const text = await textOf(tab, found.site);
  return "refused" in text ? refuse(text.refused) : collect({ ...candidate, ...text });
}

function learnsText({ hasConsent, task }: Stored): boolean {
  return hasConsent && task?.payload === "language";
}

async function textOf(tab: number | undefined, site: string): Promise<ReturnType<typeof textFrom>> {
  if (tab === undefined) return { refused: "this page cannot be read" };
  try {
    const [given] = await chrome.scripting.executeScript({ target: { tabId: tab }, func: readPage, args: [LONGEST_PLAIN] });
    return textFrom(given?.result, site);
  } catch {
    return { refused: "this page cannot be read: the browser lets no extension into it" };
  }
}

async function refuse(notice: string): Promise<void> {
  await write({ notice });
  await chrome.action.setBadgeText({ text: "!" });
}

async function carryOut(command: Command): Promise<Answer> {
  const stored = await read();
  switch (command.kind) {
    case "consent":
      return command.given ? consented(stored) : withdrawn();
    case "site": {
      const site = siteOf(command.site);
      if (site === null) return { problem: `"${command.site}" is not the address of a web site` };
      const { sites, examples } = withSite(stored, site, command.isUsed);
      await write({ sites, examples, notice: null });
      return DONE;
    }
    case "remove":
      await write({ examples: without(stored, command.id).examples });
      return DONE;
    case "settings":
      if (siteOf(command.settings.aggregator) === null) return { problem: "the aggregator's address must begin with https:// or http://" };
      // Another aggregator or task is another thing to agree to.
      await withdrawn();
      await write({ settings: command.settings });
      return DONE;
    case "join":
      return join(stored);
    case "leave":
      return (await isTraining()) ? order({ to: "offscreen", kind: "leave" }) : DONE;
    case "forget":
      return forget();
    default:
      return command satisfies never;
  }
}

/** Only now is anything asked of the aggregator. */
async function consented({ settings }: Stored): Promise<Answer> {
  const answer = await order({ to: "offscreen", kind: "describe", settings });
  if (answer.problem !== null) return answer;
  if (answer.task === null) return { problem: "the aggregator has no task yet" };
  await write({ hasConsent: true, agreement: AGREEMENT, task: answer.task, notice: null });
  await offer(answer.task);
  return answer;
}

async function withdrawn(): Promise<Answer> {
  await write({ hasConsent: false, task: null });
  await offer(null);
  if (await isTraining()) await chrome.offscreen.closeDocument();
  return DONE;
}

function join({ hasConsent, settings, examples, task }: Stored): Promise<Answer> | Answer {
  if (!hasConsent || task === null) return { problem: "read what happens, and agree, first" };
  const known = learnedBy(task, examples).map(({ text, label }) => ({ text, label }));
  if (known.length === 0) return { problem: task.payload === "language" ? "there is no text yet" : "there is no example with a label of this task yet" };
  return order({ to: "offscreen", kind: "join", settings, examples: known });
}

async function forget(): Promise<Answer> {
  await order({ to: "offscreen", kind: "forget" });
  await chrome.offscreen.closeDocument();
  await chrome.storage.local.clear();
  await offer(null);
  await chrome.action.setBadgeText({ text: "" });
  return DONE;
}

async function offer(task: Stored["task"]): Promise<void> {
  await chrome.contextMenus.removeAll();
  for (const entry of menuFor(task)) chrome.contextMenus.create(entry);
}

async function isTraining(): Promise<boolean> {
  return (await chrome.runtime.getContexts({ contextTypes: ["OFFSCREEN_DOCUMENT"] })).length > 0;
}

async function order(given: Order): Promise<Answer> {
  if (!(await isTraining())) {
    await chrome.offscreen.createDocument({
      url: "offscreen.html",
      reasons: ["WORKERS"],
      justification: "Trains a model in a Web Worker for minutes, which a service worker cannot.",
    });
  }
  return (await chrome.runtime.sendMessage(given)) as Answer;
}
