/**
 * The service worker: keeps the storage, offers the context menu, and has the offscreen document
 * train. It may be stopped at any time, so nothing is kept here.
 */

import { added, siteOf, without, withSite } from "./collection.ts";
import type { Answer, Command, Order } from "./messages.ts";
import { isFor } from "./messages.ts";
import type { Stored } from "./storage.ts";
import { read, write } from "./storage.ts";

const MENU = "add";
const DONE: Answer = { problem: null, task: null };

/** One change after the other: each reads what the one before has written. */
let last: Promise<unknown> = Promise.resolve();

chrome.runtime.onInstalled.addListener(() => void inTurn(async () => offerLabels((await read()).task?.labels ?? [])));

chrome.contextMenus.onClicked.addListener(({ menuItemId, selectionText, pageUrl }) => {
  const label = String(menuItemId).slice(`${MENU}/`.length);
  void inTurn(() => collect(label, selectionText, pageUrl));
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

async function collect(label: string, text: string | undefined, url: string | undefined): Promise<void> {
  const stored = await read();
  const result = added(stored, { id: crypto.randomUUID(), label, text, url });
  if ("refused" in result) {
    await write({ notice: result.refused });
    await chrome.action.setBadgeText({ text: "!" });
    return;
  }
  await write({ examples: result.examples, notice: null });
  await chrome.action.setBadgeText({ text: String(result.examples.length) });
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
  await write({ hasConsent: true, task: answer.task });
  await offerLabels(answer.task.labels);
  return answer;
}

async function withdrawn(): Promise<Answer> {
  await write({ hasConsent: false, task: null });
  await offerLabels([]);
  if (await isTraining()) await chrome.offscreen.closeDocument();
  return DONE;
}

function join({ hasConsent, settings, examples, task }: Stored): Promise<Answer> | Answer {
  if (!hasConsent || task === null) return { problem: "read what happens, and agree, first" };
  const known = examples.filter(({ label }) => task.labels.includes(label)).map(({ text, label }) => ({ text, label }));
  if (known.length === 0) return { problem: "there is no example with a label of this task yet" };
  return order({ to: "offscreen", kind: "join", settings, examples: known });
}

async function forget(): Promise<Answer> {
  await order({ to: "offscreen", kind: "forget" });
  await chrome.offscreen.closeDocument();
  await chrome.storage.local.clear();
  await offerLabels([]);
  await chrome.action.setBadgeText({ text: "" });
  return DONE;
}

/** The menu on selected text: one entry per label of the task. */
async function offerLabels(labels: readonly string[]): Promise<void> {
  await chrome.contextMenus.removeAll();
  if (labels.length === 0) return;
  const contexts = ["selection"];
  chrome.contextMenus.create({ id: MENU, title: "Add to Choir as", contexts });
  for (const label of labels) chrome.contextMenus.create({ id: `${MENU}/${label}`, parentId: MENU, title: label, contexts });
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
