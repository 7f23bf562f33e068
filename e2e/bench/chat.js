// A small decoder that converses by a chat template of its own, with the SDK's entry for that. Runs in
// the page.
import { load, text } from "./miniature.js";

/** What a call was refused with. */
async function refusal(call) {
  try {
    return { value: await call() };
  } catch ({ name, code, message, line }) {
    return { name, code, message, line };
  }
}

/** Loads the model and teaches it `plan.lesson`: rows as `LanguageModel.step` takes them. */
async function taught(plan) {
  const engine = await import(`${plan.sdk}/wasm/${plan.module}/module.js`);
  await engine.default({ module_or_path: fetch(`${plan.sdk}/wasm/${plan.module}/module.wasm`) });
  const model = await load(engine, plan, await text(`${plan.folder}/config.json`));
  model.addAdapter({ lora: { rank: 8, alpha: 16, targets: ["q", "k", "v", "o", "gate", "up", "down"] }, norms: true, seed: 1n });
  model.setLearningRate(plan.learningRate);
  const losses = [];
  for (let step = 0; step < plan.steps && (losses.at(-1) ?? 1) > plan.enough; step++) {
    losses.push(await model.step(...plan.lesson.map((values) => Uint32Array.from(values))));
  }
  return { model, losses };
}

/** Answers to each of `plan.conversations`, one after the other by the same chat. */
export async function converse(plan) {
  const { openChatTemplate, Chat } = await import(`${plan.sdk}/chat.js`);
  const loadedBefore = performance.getEntriesByType("resource").filter(({ name }) => name.includes("/wasm/chat/")).length;
  const [tokenizer, tokenizerConfig] = await Promise.all(
    ["tokenizer.json", "tokenizer_config.json"].map((name) => text(`${plan.chat}/${name}`)),
  );
  const template = await openChatTemplate({ tokenizerConfig });
  const { model, losses } = await taught(plan);
  const chat = new Chat({ model, template, tokenizer });
  const answers = [];
  for (const messages of plan.conversations) {
    const parts = [];
    for await (const part of chat.answer(messages, { length: plan.length })) parts.push(part);
    answers.push(parts);
  }
  const rendered = await template.render(plan.conversations[0]);
  const noTurns = await refusal(() => template.render(plan.noTurns));
  const tooLong = await refusal(() => chat.answer(plan.tooLong).next());
  return { loadedBefore, losses, answers, rendered, noTurns, tooLong, ends: await chat.endTokens(), shape: model.shape() };
}

/** What each template comes to, how long that and the next frame take, and whether it renders afterwards. */
export async function giveUp({ sdk, templates }) {
  const { openChatTemplate } = await import(`${sdk}/chat.js`);
  const found = [];
  for (const hostile of templates) {
    // Harmless until a message asks for the rest, so that the same thread is seen to go on.
    const chatTemplate = `{% if messages[0].content == "Hi" %}Hi{% else %}${hostile}{% endif %}`;
    const opened = await refusal(() => openChatTemplate({ tokenizerConfig: "{}", chatTemplate }));
    const template = opened.value ?? (await openChatTemplate({ tokenizerConfig: "{}", chatTemplate: "Hi" }));
    const longest = frames();
    const start = performance.now();
    const ended = opened.code ? opened : await refusal(() => template.render([{ role: "user", content: "go" }]));
    const took = performance.now() - start;
    const next = await template.render([{ role: "user", content: "Hi" }]);
    template.close();
    found.push({ ...ended, took, next, frame: longest() });
  }
  return found;
}

/** Measures, until it is asked, the longest that the page was held up. */
function frames() {
  let [last, longest] = [performance.now(), 0];
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 10);
  return () => {
    clearInterval(timer);
    return longest;
  };
}
