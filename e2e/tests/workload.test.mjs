// The training workloads are what every library's row trains: their sizes, and values that a NumPy
// generator (`xtask/bench/ort_artifacts.py`) has too.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decoder, encoder } from "../bench/workload.js";

const count = (tensors) => [...tensors.values()].reduce((sum, { values }) => sum + values.length, 0);

test("the decoder has its sizes", () => {
  const { frozen, trained } = decoder();
  assert.deepEqual([count(frozen), count(trained)], [3_688_704, 65_536]);
});

test("the encoder has its sizes", () => {
  const { frozen, trained } = encoder();
  assert.deepEqual([count(frozen), count(trained)], [22_565_376, 103_373]);
});

test("values are those of the NumPy generator", () => {
  const [{ frozen, trained, batches }, bert] = [decoder(), encoder()];
  const at = ({ values }, places) => places.map((place) => values[place]);
  assert.deepEqual(at(frozen.get("embed"), [0, 1, 262_143]), [0.060286641120910645, -0.8406684398651123, -0.23780369758605957]);
  assert.deepEqual(
    at(trained.get("layers.3.wo.lora_b"), [0, 1, 2047]),
    [-0.006013369653373957, 0.006498594302684069, 0.019483614712953568],
  );
  assert.deepEqual(at(bert.frozen.get("emb.ln.g"), [0, 383]), [1.0821536779403687, 1.0919325351715088]);
  // Of a row of 129 draws, the last is a target only.
  assert.deepEqual([...batches[1].tokens.subarray(0, 2), batches[1].tokens[128], batches[1].targets[511]], [862, 484, 786, 392]);
  assert.deepEqual([...bert.batches[3].targets], [74, 23, 71, 60, 54, 10, 60, 52]);
});
