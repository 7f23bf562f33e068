// Plays a client's side of a round, in a page or in Node.

const WARM = 2;

/**
 * Milliseconds of the whole client, and of freezing its update with and without noise; `first_ms` is
 * the very first turn, while the engine still compiles.
 */
export function rehearseClient(module, part, repetitions) {
  const client = new module.ClientRehearsal(part);
  const firsts = [];
  const times = (step) => {
    const found = [];
    for (let turn = 0; turn < WARM + repetitions; turn++) {
      const start = performance.now();
      step();
      const spent = performance.now() - start;
      (turn < WARM ? firsts : found).push(spent);
    }
    return found;
  };
  const measured = {
    client_ms: times(() => client.play()),
    freeze_ms: times(() => client.freeze(false)),
    freeze_noise_ms: times(() => client.freeze(true)),
  };
  client.free();
  return { ...measured, first_ms: firsts[0] };
}
