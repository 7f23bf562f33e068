// A small decoder of the Hugging Face layout with an adapter of PEFT's, on the engine of the module
// given. Runs in the page.

const NOT_SCORED = 0xffffffff;
/** Bytes of a piece: files come in any chunking. */
const PIECE = 1000;

export async function bytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

export const text = async (url) => new TextDecoder().decode(await bytes(url));

/** The model of a folder, by the classes of an engine's module. */
export async function load(engine, { folder, weights }, config) {
  const model = await engine.LanguageModel.open();
  model.beginWeights(config);
  for (const file of weights) {
    const all = await bytes(`${folder}/${file}`);
    for (let at = 0; at < all.length; at += PIECE) model.addWeights(all.subarray(at, at + PIECE));
    model.endFile();
  }
  model.finishWeights();
  return model;
}

/** Losses, the likeliest next tokens, and a few steps of training. */
export async function evaluate(plan) {
  const engine = await import(plan.module);
  await engine.default();
  const config = await text(`${plan.folder}/config.json`);
  const model = await load(engine, plan, config);
  const packed = pack(plan.sequences);
  const loss = async () => {
    const { nats, tokens } = await model.score(...packed());
    return nats / tokens;
  };
  const found = { loss: await loss() };
  const [adapter, tensors] = await Promise.all([
    text(`${plan.folder}/adapter/adapter_config.json`),
    bytes(`${plan.folder}/adapter/adapter_model.safetensors`),
  ]);
  model.importPeft(adapter, tensors);
  found.adaptedLoss = await loss();
  found.next = [];
  for (const sequence of plan.sequences) {
    model.startText({ seed: 0n });
    found.next.push(await model.nextToken(Uint32Array.from(sequence)));
  }
  found.rewound = [];
  for (const sequence of plan.sequences) found.rewound.push(await rewound(model, sequence));
  const given = await model.exportPeft();
  model.removeAdapter();
  found.offLoss = await loss();
  model.importPeft(given.config, given.tensors);
  found.againLoss = await loss();
  found.losses = [];
  model.setLearningRate(0.01);
  for (let step = 0; step < 4; step++) found.losses.push(await model.step(...packed()));
  found.virtual = {};
  for (const kind of plan.virtualTokens) found.virtual[kind] = await virtual(model, plan, kind, loss);
  found.trained = {};
  for (const [name, settings] of Object.entries(plan.adapters)) found.trained[name] = await trained(model, settings, packed);
  found.refusal = await refusal(engine, plan, config);
  return found;
}

/** The loss with PEFT's adapter of virtual tokens, and once it was given out and taken back. */
async function virtual(model, { folder }, kind, loss) {
  const [config, tensors] = await Promise.all([
    text(`${folder}/${kind}_adapter/adapter_config.json`),
    bytes(`${folder}/${kind}_adapter/adapter_model.safetensors`),
  ]);
  model.importPeft(config, tensors);
  const first = await loss();
  const given = await model.exportPeft();
  model.removeAdapter();
  model.importPeft(given.config, given.tensors);
  return [first, await loss()];
}

/** The losses of a few steps with a fresh adapter, and how many of its values have not moved. */
async function trained(model, settings, packed) {
  model.addAdapter({ ...settings, seed: 5n });
  const before = await model.adapter();
  const losses = [];
  for (let step = 0; step < 6; step++) losses.push(await model.step(...packed()));
  const after = await model.adapter();
  return { losses, unmoved: after.filter((value, place) => value === before[place]).length };
}

/** The next token of a sequence of which the first half was read already, with something else behind it. */
async function rewound(model, sequence) {
  const half = Math.floor(sequence.length / 2);
  model.startText({ seed: 0n });
  await model.nextToken(Uint32Array.from([...sequence.slice(0, half), ...sequence.slice(0, 2)]));
  model.rewindText(half, { seed: 0n });
  return model.nextToken(Uint32Array.from(sequence.slice(half)));
}

/** What is said of files that do not fit their configuration. */
async function refusal(engine, plan, config) {
  const other = JSON.parse(config);
  const key = "n_layer" in other ? "n_layer" : "num_hidden_layers";
  other[key] -= 1;
  try {
    await load(engine, plan, JSON.stringify(other));
    return "nothing";
  } catch (error) {
    return error.message;
  }
}

/** All sequences as tokens, starts and labels, new each time: the module takes them over. */
function pack(sequences) {
  const starts = [0];
  for (const sequence of sequences) starts.push(starts.at(-1) + sequence.length);
  const labels = sequences.flatMap((sequence) => [...sequence.slice(1), NOT_SCORED]);
  return () => [sequences.flat(), starts, labels].map((values) => Uint32Array.from(values));
}
