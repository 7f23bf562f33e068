// The decoder workload as a language task on engine cpu, from a checkpoint as Hugging Face has it: the
// way of a tab, which can take a step in several threads. Runs in the page.
import { flat, safetensors, transposed } from "./encoder.js";
import { openJoint } from "./joint.js";
import { decoder } from "./workload.js";

/** The frozen tensors by their names in a checkpoint. */
function checkpoint({ shape: { layers }, frozen }) {
  const named = new Map();
  named.set("model.embed_tokens.weight", frozen.get("embed"));
  for (let i = 0; i < layers; i++) {
    const [from, to] = [`layers.${i}.`, `model.layers.${i}.`];
    const linear = (name, place) => named.set(`${to}${place}_proj.weight`, transposed(frozen.get(from + name)));
    for (const letter of ["q", "k", "v", "o"]) linear(`w${letter}`, `self_attn.${letter}`);
    for (const name of ["gate", "up", "down"]) linear(`w_${name}`, `mlp.${name}`);
    named.set(`${to}input_layernorm.weight`, frozen.get(`${from}attn_norm`));
    named.set(`${to}post_attention_layernorm.weight`, frozen.get(`${from}mlp_norm`));
  }
  named.set("model.norm.weight", frozen.get("norm"));
  named.set("lm_head.weight", transposed(frozen.get("lm_head")));
  return named;
}

/** Makes the model; `config` is the task's wire bytes, `sizes` the decoder's where it is not the workload. */
export async function open({ module, config, sizes, threads = 1 }) {
  const engine = await import(module);
  await engine.default();
  const workload = decoder(sizes ?? undefined);
  const { sequence, batch } = workload.shape;
  const trainer = await engine.LanguageTrainer.open(Uint8Array.from(config));
  const weights = () => safetensors(checkpoint(workload));
  for (const chunk of weights()) trainer.addWeights(chunk);
  trainer.finishWeights();
  trainer.setAdapter(flat(workload.trained));
  const starts = Uint32Array.from({ length: batch + 1 }, (_, row) => row * sequence);
  const examples = workload.batches.map(({ tokens, targets }) => ({
    tokens: Uint32Array.from(tokens),
    starts,
    labels: Uint32Array.from(targets),
  }));
  const joint = threads > 1 ? await openJoint({ trainer, config, payload: "language", weights, threads }) : null;
  return {
    threads,
    joint,
    trainer,
    examples,
    async step(index) {
      const { tokens, labels } = examples[index % examples.length];
      trainer.setExamples(tokens, starts, labels, 0n);
      return joint === null ? (await trainer.steps(1)).losses[0] : joint.step();
    },
    counts: () => ({ ...trainer.counts(), kernels: 0, preparedMs: 0 }),
    close() {
      joint?.close();
      trainer.free();
    },
  };
}
