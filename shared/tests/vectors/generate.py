#!/usr/bin/env python3
"""Writes every known-answer file beside it: inputs from seeds, expected values by flsa1.py.

    python3 generate.py

`complete.input.json` was drawn once and is only read.
"""
import hashlib
import json
import pathlib

import flsa1
import parameters
from primitives import L, check_rfc_vectors

HERE = pathlib.Path(__file__).parent

# A name, and n, g, drop, given (m, t) or None, r, d, lost before SHARE, lost before UPLOAD.
SPARSE = [
    ("sparse_16", 7, 100, 300, (4, 3), 16, 21, [2], [5]),
    ("sparse_24", 8, 250, 300, (3, 2), 24, 19, [0], [6, 7]),
    # 13 bits: 9 coordinates leave 3 bits of the last byte.
    ("sparse_13", 5, 0, 300, (2, 1), 13, 9, [], [4]),
    # Beyond the 4,096 bytes of stream that are expanded at a time, and not by whole blocks.
    ("wide_16", 3, 100, 300, (2, 2), 16, 2_101, [], []),
    ("wide_24", 3, 100, 300, (2, 2), 24, 1_079, [], []),
    ("searched_50", 50, 100, 300, None, 24, 33, [7, 31], [0, 12, 44]),
]

# Their rosters have tokens.
ATTESTED = ["sparse_24"]

# Sizes and settings of the parameters' table: those of the design, and others around them.
SETTINGS = [(50, 200), (100, 300), (200, 300)]
SIZES = [10, 50, 100, 200, 500, 1000]
MORE_SETTINGS = [(0, 300), (50, 200), (100, 300), (150, 100), (200, 300), (300, 350), (100, 400)]
MORE_SIZES = [3, 4, 7, 48, 49, 51, 53, 57, 64, 73, 88, 99, 101, 120, 150, 210, 333]
# Where no sparse graph will do, where there is no quorum, and beyond the sizes.
EDGES = [
    (100, 300, 900), (60, 0, 1000), (60, 100, 0), (3, 1000, 300), (3, 334, 300), (50, 980, 300),
    (50, 999, 300), (2, 100, 300), (1001, 100, 300),
]


class Seeded:
    """SHA-256 of a seed and a counter."""

    def __init__(self, seed):
        self.seed, self.counter = seed, 0

    def bytes(self):
        self.counter += 1
        return hashlib.sha256(f"{self.seed} {self.counter}".encode()).digest()

    def below(self, bound):
        return int.from_bytes(self.bytes(), "little") % bound

    def scalar(self):
        return self.below(L).to_bytes(32, "little").hex()

    def choose(self, items, count):
        items = list(items)
        return sorted(items.pop(self.below(len(items))) for _ in range(count))


def make_input(name, n, g, drop, graph, r, d, unshared, unsent):
    seeded = Seeded(name)
    m, t = graph or parameters.parameters(n, g, drop)[:2]
    # Sums of n stay below 2^r.
    levels = 2 ** (r - 1) // n

    def client(i):
        return {
            "signing_secret": seeded.bytes().hex(),
            "channel_secret": seeded.bytes().hex(),
            "z_b": seeded.scalar(),
            "z_s": seeded.scalar(),
            "coefficients_b": [seeded.scalar() for _ in range(t - 1)],
            "coefficients_s": [seeded.scalar() for _ in range(t - 1)],
            "out_list": seeded.choose([j for j in range(n) if j != i], m),
            **({"token": b"".join(seeded.bytes() for _ in range(8)).hex()} if attested else {}),
            "update": [seeded.below(levels + 1) for _ in range(d)],
        }

    shared = [i for i in range(n) if i not in unshared]
    attested = name in ATTESTED
    return {
        "task_id": seeded.bytes()[:16].hex(),
        "round_id": seeded.bytes()[:16].hex(),
        "model_digest": seeded.bytes().hex(),
        "d": d,
        "r": r,
        "quantiser": {"levels": levels, "bound": 0.5, "weight_max": 1},
        "dp": {"noise_multiplier": 1.0, "clip": 0.75, "honest": max(1, n // 2 - 4)},
        "n_floor": 3,
        "g": g,
        "drop": drop,
        **({"m": m, "t": t} if graph else {}),
        "clients": [client(i) for i in range(n)],
        "shared": shared,
        "survivors": [i for i in shared if i not in unsent],
    }


def table():
    rows = [(n, g, drop) for n in SIZES for g, drop in SETTINGS]
    rows += [(n, g, drop) for n in MORE_SIZES for g, drop in MORE_SETTINGS] + EDGES
    for n, g, drop in rows:
        row = {"n": n, "g": g, "drop": drop}
        found = parameters.parameters(n, g, drop)
        if found is None:
            yield {**row, "parameters": None}
        else:
            m, t, q = found
            yield {**row, "parameters": {"m": m, "t": t, "q": q, "masks": parameters.masks(n, m)}}


def text(value, depth=0):
    """JSON with one line for each field and each object of a list."""
    if isinstance(value, dict) and depth == 0:
        fields = (f"{json.dumps(key)}: {text(item, 1)}" for key, item in value.items())
        return "{\n" + ",\n".join(fields) + "\n}\n"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(json.dumps(item) for item in value) + "\n]"
    return json.dumps(value)


def write(name, value):
    (HERE / name).write_text(text(value), encoding="utf-8")


def main():
    check_rfc_vectors()
    complete = json.loads((HERE / "complete.input.json").read_text(encoding="utf-8"))
    inputs = [("complete", complete)] + [(row[0], make_input(*row)) for row in SPARSE]
    for name, given in inputs:
        values = flsa1.kat(given)
        flsa1.check_opening(given, values)
        if name != "complete":
            write(f"{name}.input.json", given)
        is_long = values["n"] >= 50 or given["d"] > 1000
        write(f"{name}.expected.json", flsa1.with_digests(values) if is_long else values)
    write("parameters.json", {"rows": list(table())})


if __name__ == "__main__":
    main()
