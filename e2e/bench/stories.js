// stories260K on the engine of the module given: its greedy text, its loss on texts, and how fast it
// goes on with one. Runs in the page.

/** Tokens that are not scored. */
const NOT_SCORED = 0xffffffff;

async function bytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Makes the model and evaluates it on the reference's texts, each `{text, tokens}`. */
export async function evaluate({ module, texts, timed }) {
  const engine = await import(module);
  await engine.default();
  const model = await engine.LanguageModel.open();
  model.loadLlama2c(await bytes("/models/stories260K.bin"));
  const { vocabulary, context } = model.shape();
  const tokenizer = new engine.Llama2cTokenizer(await bytes("/models/tok512.bin"), vocabulary);
  const losses = [];
  for (const { tokens } of texts) losses.push(await loss(model, tokens));
  const text = await greedy(model, tokenizer, texts[0].text.length);
  const tokensMatch = texts.every(({ text, tokens }) => String(tokenizer.encode(text, true)) === String(tokens));
  const { adapter } = model.info();
  const speed = await rate(model, tokenizer, { count: Math.min(timed, context - 1) });
  return { adapter, text, tokensMatch, losses, ...speed };
}

async function loss(model, tokens) {
  const labels = [...tokens.slice(1), NOT_SCORED];
  const packed = [tokens, [0, tokens.length], labels].map((values) => Uint32Array.from(values));
  const { nats, tokens: scored } = await model.score(...packed);
  return nats / scored;
}

async function greedy(model, tokenizer, characters) {
  model.startText({ seed: 0n });
  const tokens = [tokenizer.begin];
  let text = "";
  while (text.length < characters && tokens.length <= characters) {
    tokens.push(await model.nextToken(Uint32Array.of(tokens.at(-1))));
    text = tokenizer.decode(Uint32Array.from(tokens));
  }
  return text;
}

/** Tokens per second after the first few, by wall time. */
async function rate(model, tokenizer, { count }) {
  model.startText({ temperature: 0.8, seed: 1n });
  let token = tokenizer.begin;
  const times = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    token = await model.nextToken(Uint32Array.of(token));
    if (i >= 8) times.push(performance.now() - start);
  }
  times.sort((one, other) => one - other);
  return { timed: times.length, tokenMs: times[times.length >> 1], tokenMsSpread: times[Math.floor(times.length * 0.9)] - times[0] };
}
