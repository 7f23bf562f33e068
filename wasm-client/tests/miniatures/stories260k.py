"""What llama2.c's smallest trained model thinks of two texts, computed in NumPy alone.

    CHOIR_SHARED=... python stories260k.py

reads models/stories260K/stories260K.bin (checkpoint format of version 0) and tok512.bin from
the shared folder, checks that greedy decoding tells the known story, and writes
stories260k.json beside itself. Follows run.c of llama2.c: rotary positions turn adjacent
pairs of a head, and weights are [out, in]. Computes in float64, sequence at once, without a
cache, a mask in place of one. Shares no code with this project.
"""

import json
import os
import struct
import sys
from pathlib import Path

import numpy

BEGIN = 1
# The vocabulary begins with <unk>, <s> and </s>, then one token for each byte.
FIRST_BYTE_TOKEN = 3
NORM_EPSILON = 1e-5
ROTATION_BASE = 10000.0
STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the "
    "park. One day, she saw a big, red ball."
)
PARAGRAPH = (
    "Tom had 3 red apples and 12 green ones. \"Can I eat them all?\" he asked his mum. She "
    "smiled and said, \"No, Tom; you must share them with Anna, Ben and Zoë!\" So Tom went to "
    "the park, where his friends played with a big dog. They sat under a tree, ate the apples "
    "and told each other stories. At 5 o'clock it began to rain - quick, quick, they ran home! "
    "Tom was wet, but he was happy: sharing is fun."
)


class Checkpoint:
    """The tensors of a version 0 file, one after another as float32."""

    def __init__(self, path):
        data = path.read_bytes()
        header = struct.unpack_from("<7i", data)
        self.dim, self.hidden, self.layers, self.heads = header[:4]
        self.key_value_heads, vocabulary, self.positions = header[4:]
        self.vocabulary = abs(vocabulary)
        self.head_size = self.dim // self.heads
        self._values = numpy.frombuffer(data, "<f4", offset=struct.calcsize("<7i"))
        self._read_tensors(tied=vocabulary > 0)

    def _take(self, *shape):
        count = int(numpy.prod(shape))
        taken, self._values = self._values[:count], self._values[count:]
        return taken.reshape(shape).astype(numpy.float64)

    def _read_tensors(self, tied):
        layers, dim, hidden = self.layers, self.dim, self.hidden
        key_value_dim = self.key_value_heads * self.head_size
        self.embedding = self._take(self.vocabulary, dim)
        self.attention_norm = self._take(layers, dim)
        self.query = self._take(layers, dim, dim)
        self.key = self._take(layers, key_value_dim, dim)
        self.value = self._take(layers, key_value_dim, dim)
        self.output = self._take(layers, dim, dim)
        self.mlp_norm = self._take(layers, dim)
        self.gate = self._take(layers, hidden, dim)
        self.down = self._take(layers, dim, hidden)
        self.up = self._take(layers, hidden, dim)
        self.last_norm = self._take(dim)
        # Tables of cosines and sines, which run.c skips as well.
        self._take(2, self.positions, self.head_size // 2)
        self.head = self.embedding if tied else self._take(self.vocabulary, dim)
        if self._values.size:
            sys.exit(f"{self._values.size} values are left over at the checkpoint's end")


def normalised(rows, gain):
    return gain * rows / numpy.sqrt((rows**2).mean(-1, keepdims=True) + NORM_EPSILON)


def softmax(rows):
    powers = numpy.exp(rows - rows.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def rotated(rows, head_size):
    """Adjacent pairs of each head as complex numbers, turned by their position's angle.
    `rows` is [positions, heads, head size]."""
    rates = ROTATION_BASE ** (-numpy.arange(0, head_size, 2) / head_size)
    angles = numpy.arange(len(rows))[:, None] * rates
    pairs = rows[..., 0::2] + 1j * rows[..., 1::2]
    turned = pairs * numpy.exp(1j * angles)[:, None, :]
    return numpy.stack([turned.real, turned.imag], -1).reshape(rows.shape)


def attention(model, layer, rows):
    """[positions, dim] of the causal attention, each key/value head serving several heads."""
    count, size = len(rows), model.head_size
    query = rotated((rows @ model.query[layer].T).reshape(count, -1, size), size)
    key = rotated((rows @ model.key[layer].T).reshape(count, -1, size), size)
    value = (rows @ model.value[layer].T).reshape(count, -1, size)
    shared_by = model.heads // model.key_value_heads
    key, value = key.repeat(shared_by, axis=1), value.repeat(shared_by, axis=1)
    scores = numpy.einsum("qhs,khs->hqk", query, key) / numpy.sqrt(size)
    scores[:, numpy.triu(numpy.ones((count, count), bool), 1)] = -numpy.inf
    mixed = numpy.einsum("hqk,khs->qhs", softmax(scores), value)
    return mixed.reshape(count, -1) @ model.output[layer].T


def mlp(model, layer, rows):
    gate = rows @ model.gate[layer].T
    return (gate / (1 + numpy.exp(-gate)) * (rows @ model.up[layer].T)) @ model.down[layer].T


def logits(model, ids):
    """[positions, vocabulary]"""
    rows = model.embedding[ids]
    for layer in range(model.layers):
        rows = rows + attention(model, layer, normalised(rows, model.attention_norm[layer]))
        rows = rows + mlp(model, layer, normalised(rows, model.mlp_norm[layer]))
    return normalised(rows, model.last_norm) @ model.head.T


def losses(model, ids):
    """Minus the natural logarithm of each next token's probability: one fewer than ids."""
    probabilities = softmax(logits(model, ids[:-1]))
    return -numpy.log(probabilities[range(len(ids) - 1), ids[1:]])


class Tokenizer:
    """The pieces and scores of tok512.bin, and the byte pair encoding of run.c."""

    def __init__(self, path):
        data = path.read_bytes()
        self.pieces, self.scores = [], []
        # The first number is the longest piece's length.
        offset = struct.calcsize("<i")
        while offset < len(data):
            score, length = struct.unpack_from("<fi", data, offset)
            offset += struct.calcsize("<fi")
            self.pieces.append(data[offset : offset + length])
            self.scores.append(score)
            offset += length
        self.ids = {piece: id for id, piece in enumerate(self.pieces)}

    def encode(self, text):
        """Ids of a text that is not empty, after the one that begins it."""
        ids = [self.ids[b" "]]
        for character in text:
            piece = character.encode()
            known = self.ids.get(piece)
            ids += [byte + FIRST_BYTE_TOKEN for byte in piece] if known is None else [known]
        while (best := self._best_merge(ids)) is not None:
            place, merged = best
            ids[place : place + 2] = [merged]
        return [BEGIN, *ids]

    def _best_merge(self, ids):
        """The neighbours whose union has the highest score; of equals, the first."""
        unions = (self.pieces[a] + self.pieces[b] for a, b in zip(ids, ids[1:]))
        merges = [(place, self.ids[u]) for place, u in enumerate(unions) if u in self.ids]
        return max(merges, key=lambda merge: self.scores[merge[1]], default=None)

    def decode(self, ids):
        """The text of ids that follow the one that begins it."""
        pieces = b"".join(self._bytes(id) for id in ids)
        return pieces.removeprefix(b" ").decode()

    def _bytes(self, id):
        is_byte = FIRST_BYTE_TOKEN <= id < FIRST_BYTE_TOKEN + 256
        return bytes([id - FIRST_BYTE_TOKEN]) if is_byte else self.pieces[id]


def greedy(model, count):
    """The likeliest continuation of the beginning, `count` tokens."""
    ids = [BEGIN]
    for _ in range(count):
        ids.append(int(logits(model, ids)[-1].argmax()))
    return ids[1:]


def check_story(model, tokenizer):
    told = tokenizer.decode(greedy(model, len(tokenizer.encode(STORY)) - 1))
    if told != STORY:
        sys.exit(f"greedy decoding tells another story: {told}")


def measured(model, tokenizer, text):
    ids = tokenizer.encode(text)
    each = losses(model, ids)
    return {
        "text": text,
        "tokens": ids,
        "mean_loss": each.mean(),
        "losses": each.tolist(),
        "bits_per_character": each.sum() / numpy.log(2) / len(text),
    }


def main():
    shared = os.environ.get("CHOIR_SHARED") or sys.exit("CHOIR_SHARED names no folder")
    folder = Path(shared) / "models" / "stories260K"
    model = Checkpoint(folder / "stories260K.bin")
    tokenizer = Tokenizer(folder / "tok512.bin")
    check_story(model, tokenizer)
    texts = [measured(model, tokenizer, text) for text in (STORY, PARAGRAPH)]
    written = json.dumps({"texts": texts}, indent=1, ensure_ascii=False)
    Path(__file__).with_suffix(".json").write_text(written + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
