"""Writes what onnxruntime-web trains from: the training, evaluation and optimizer graphs and the
checkpoint of both training workloads. Its gradients are made here and not in the browser.

    python ort_artifacts.py OUT

Makes OUT/decoder and OUT/encoder. Weights come from the workloads' generator, so that the first
loss in the browser tells whether the graph is right. Needs onnxruntime-training-cpu 1.19.2.
"""

import math
import sys
from pathlib import Path
from types import ModuleType

# The package imports its PyTorch side too; of that, nothing is used here.
for name in ("amp", "optim"):
    sys.modules[f"onnxruntime.training.{name}"] = ModuleType(name)

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.training import artifacts, onnxblock

RANK = 8
# alpha / rank of LoRA.
SCALE = 2.0
MASKED = -1e9


def uniform(name, shape, bound):
    """f32((2u - 1) * bound), u from a linear congruential generator seeded by FNV-1a of the name."""
    return ((2 * units(name, math.prod(shape)) - 1) * bound).astype(np.float32).reshape(shape)


def gain(name, count):
    return (1 + (2 * units(name, count) - 1) * 0.1).astype(np.float32)


def units(name, count):
    return (states(name, count) >> np.uint64(8)).astype(np.float64) / 2**24


def states(name, count):
    """The generator's first states. Each pass doubles them: s[i + k] is an affine map of s[i]."""
    multiplier, increment, modulus = 1664525, 1013904223, 2**32
    seed = 0x811C9DC5
    for byte in name.encode("ascii"):
        seed = ((seed ^ byte) * 16777619) % modulus
    found = np.empty(count, np.uint64)
    found[0] = (seed * multiplier + increment) % modulus
    known = 1
    while known < count:
        more = min(known, count - known)
        # A product of two 32-bit numbers and a sum fit 64 bits.
        found[known : known + more] = (found[:more] * np.uint64(multiplier) + np.uint64(increment)) % np.uint64(modulus)
        increment = (multiplier * increment + increment) % modulus
        multiplier = multiplier * multiplier % modulus
        known *= 2
    return found


class Graph:
    """An ONNX graph under construction: every method adds nodes and returns the output's name."""

    def __init__(self):
        self.nodes = []
        self.values = []
        self.frozen = []
        self.trained = []

    def op(self, kind, *inputs, outputs=1, **attributes):
        names = [f"{kind}_{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def value(self, array, name=None, dtype=np.float32):
        name = name or f"constant_{len(self.values)}"
        self.values.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def parameter(self, name, array, trained=False):
        (self.trained if trained else self.frozen).append(name)
        return self.value(array, name)

    def frozen_matrix(self, name, rows, columns):
        return self.parameter(name, uniform(name, (rows, columns), math.sqrt(3 / rows)))

    def reshape(self, x, *shape):
        return self.op("Reshape", x, self.value(shape, dtype=np.int64))

    def matmul(self, x, weight):
        return self.op("MatMul", x, weight)

    def add(self, x, y):
        return self.op("Add", x, y)

    def mul(self, x, y):
        return self.op("Mul", x, y)

    def scaled(self, x, factor):
        return self.mul(x, self.value(factor))

    def lora(self, x, name, dim):
        """x W + scale (x A) B, with W frozen."""
        a, b = f"{name}.lora_a", f"{name}.lora_b"
        self.parameter(a, uniform(a, (dim, RANK), math.sqrt(3 / dim)), trained=True)
        self.parameter(b, uniform(b, (RANK, dim), 0.02), trained=True)
        delta = self.matmul(self.matmul(x, a), b)
        return self.add(self.matmul(x, self.frozen_matrix(name, dim, dim)), self.scaled(delta, SCALE))

    def attention(self, q, k, v, mask, shape):
        """softmax(q k^T / sqrt(head) + mask) v; q, k and v are [batch, heads, sequence, head]."""
        batch, sequence, heads, head = shape
        scores = self.matmul(q, self.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = self.add(self.scaled(scores, 1 / math.sqrt(head)), mask)
        mixed = self.matmul(self.op("Softmax", scores, axis=-1), v)
        merged = self.op("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.reshape(merged, batch * sequence, heads * head)

    def heads(self, x, shape):
        return self.op("Transpose", self.reshape(x, *shape), perm=[0, 2, 1, 3])


def decoder(graph):
    """Llama: rotary positions, SwiGLU, LoRA on q, k, v and o. Returns the logits' name and shape."""
    dim, layers, heads, mlp, vocabulary, sequence, batch = 256, 4, 4, 688, 1024, 128, 4
    head = dim // heads
    shape = (batch, sequence, heads, head)
    angles = np.arange(sequence)[:, None] * 10000.0 ** (-2 * np.arange(head // 2) / head)[None]
    cos, sin = graph.value(np.cos(angles)), graph.value(np.sin(angles))
    mask = graph.value(np.triu(np.full((sequence, sequence), MASKED), 1))

    def norm(x, name):
        mean = graph.op("ReduceMean", graph.mul(x, x), axes=[-1], keepdims=1)
        root = graph.op("Sqrt", graph.add(mean, graph.value(1e-5)))
        return graph.mul(graph.op("Div", x, root), graph.parameter(name, gain(name, dim)))

    def rotated(x):
        halves = graph.value([head // 2, head // 2], dtype=np.int64)
        low, high = graph.op("Split", x, halves, outputs=2, axis=-1)
        turned_low = graph.op("Sub", graph.mul(low, cos), graph.mul(high, sin))
        turned_high = graph.add(graph.mul(high, cos), graph.mul(low, sin))
        return graph.op("Concat", turned_low, turned_high, axis=-1)

    graph.parameter("embed", uniform("embed", (vocabulary, dim), 1.0))
    x = graph.op("Gather", "embed", "input")
    for layer in range(layers):
        at = f"layers.{layer}."
        h = norm(x, f"{at}attn_norm")
        q, k, v = (graph.heads(graph.lora(h, at + name, dim), shape) for name in ("wq", "wk", "wv"))
        mixed = graph.attention(rotated(q), rotated(k), v, mask, shape)
        x = graph.add(x, graph.lora(mixed, f"{at}wo", dim))
        h = norm(x, f"{at}mlp_norm")
        gate = graph.matmul(h, graph.frozen_matrix(f"{at}w_gate", dim, mlp))
        gated = graph.mul(gate, graph.op("Sigmoid", gate))
        gated = graph.mul(gated, graph.matmul(h, graph.frozen_matrix(f"{at}w_up", dim, mlp)))
        x = graph.add(x, graph.matmul(gated, graph.frozen_matrix(f"{at}w_down", mlp, dim)))
    logits = graph.matmul(norm(x, "norm"), graph.frozen_matrix("lm_head", dim, vocabulary))
    return logits, (batch * sequence, vocabulary)


def encoder(graph):
    """BERT in the shape of all-MiniLM-L6-v2, LoRA on q and v, a head of 77 classes."""
    dim, layers, heads, mlp, vocabulary, sequence, batch, classes = 384, 6, 12, 1536, 30522, 64, 8, 77
    shape = (batch, sequence, heads, dim // heads)
    lengths = sequence - 4 * np.arange(batch)
    inside = np.arange(sequence)[None] < lengths[:, None]
    mask = graph.value(np.where(inside, 0, MASKED)[:, None, None, :])

    def biased(x, name, count):
        return graph.add(x, graph.parameter(name, uniform(name, (count,), 0.02)))

    def norm(x, name):
        scale = graph.parameter(f"{name}.g", gain(f"{name}.g", dim))
        shift = graph.parameter(f"{name}.b", uniform(f"{name}.b", (dim,), 0.02))
        # The gradient of the normalisation wants its mean and deviation too.
        return graph.op("LayerNormalization", x, scale, shift, outputs=3, axis=-1, epsilon=1e-12)[0]

    def linear(x, weight, bias, rows, columns):
        return biased(graph.matmul(x, graph.frozen_matrix(weight, rows, columns)), bias, columns)

    graph.parameter("emb.word", uniform("emb.word", (vocabulary, dim), 0.05))
    places = uniform("emb.pos", (512, dim), 0.02)[:sequence] + uniform("emb.type", (2, dim), 0.02)[0]
    words = graph.reshape(graph.op("Gather", "emb.word", "input"), batch, sequence, dim)
    x = norm(graph.reshape(graph.add(words, graph.value(places[None])), batch * sequence, dim), "emb.ln")
    for layer in range(layers):
        at = f"layers.{layer}."
        q = graph.heads(biased(graph.lora(x, f"{at}wq", dim), f"{at}bq", dim), shape)
        k = graph.heads(linear(x, f"{at}wk", f"{at}bk", dim, dim), shape)
        v = graph.heads(biased(graph.lora(x, f"{at}wv", dim), f"{at}bv", dim), shape)
        mixed = graph.attention(q, k, v, mask, shape)
        x = norm(graph.add(x, linear(mixed, f"{at}wo", f"{at}bo", dim, dim)), f"{at}ln1")
        u = linear(x, f"{at}w1", f"{at}b1", dim, mlp)
        erf = graph.op("Erf", graph.scaled(u, math.sqrt(0.5)))
        gelu = graph.mul(graph.scaled(u, 0.5), graph.add(erf, graph.value(1.0)))
        x = norm(graph.add(x, linear(gelu, f"{at}w2", f"{at}b2", mlp, dim)), f"{at}ln2")
    weights = graph.value((inside / lengths[:, None])[..., None])
    weighted = graph.mul(graph.reshape(x, batch, sequence, dim), weights)
    pooled = graph.op("ReduceSum", weighted, graph.value([1], dtype=np.int64), keepdims=0)
    graph.parameter("cls.w", uniform("cls.w", (dim, classes), math.sqrt(3 / dim)), trained=True)
    graph.parameter("cls.b", np.zeros(classes), trained=True)
    return graph.add(graph.matmul(pooled, "cls.w"), "cls.b"), (batch, classes)


def write(name, build, folder):
    graph = Graph()
    logits, shape = build(graph)
    # Every workload has 512 tokens a step, in one row.
    tokens = helper.make_tensor_value_info("input", TensorProto.INT64, [512])
    output = helper.make_tensor_value_info(logits, TensorProto.FLOAT, shape)
    made = helper.make_graph(graph.nodes, name, [tokens], [output], graph.values)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    artifacts.generate_artifacts(
        model,
        requires_grad=graph.trained,
        frozen_params=graph.frozen,
        loss=artifacts.LossType.CrossEntropyLoss,
        optimizer=onnxblock.optim.AdamW(bias_correction=True, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01),
        artifact_directory=str(folder),
    )
    print(f"{name}: {len(graph.trained)} trained tensors, {len(graph.frozen)} frozen", flush=True)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    write("decoder", decoder, out / "decoder")
    write("encoder", encoder, out / "encoder")
