#!/usr/bin/env python3
"""FLSA-1 as in docs/protocol.md, in plain Python, for known answers.

Shares no code with the crate. Checks itself against RFC vectors first, then reads the input of
`cargo xtask kat` and prints its output:

    python3 flsa1.py kat_input.json > kat_expected.json

With --digests, the long lists of the output are printed as SHA-256 of their compact JSON.
Slow and not constant-time: for public test secrets only.
"""
import json
import struct
import sys

import parameters
from primitives import (
    BASE,
    L,
    chacha20,
    check_rfc_vectors,
    ed25519_keys,
    ed25519_sign,
    hkdf,
    seal,
    sha256,
    x25519,
)


# What --digests shortens.
LONG = ("pairs", "sum")
LONG_OF_CLIENT = ("shares", "boxes", "upload", "masked_update")


def u16(value):
    return struct.pack("<H", value)


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def mask(key, count, r):
    """Up to 16 bits, half a word of the stream for each coordinate, else a word; the low r bits."""
    width, code = (2, "H") if r <= 16 else (4, "L")
    stream = chacha20(key, 0, bytes(12), width * count)
    return [word % 2**r for word in struct.unpack("<%d%s" % (count, code), stream)]


def pack(words, r):
    """r bits of each word, the lowest first, in bytes filled from their lowest bit on."""
    number = sum(word << r * place for place, word in enumerate(words))
    return number.to_bytes((len(words) * r + 7) // 8, "little")


def bitmap(n, members):
    out = bytearray((n + 7) // 8)
    for i in members:
        out[i // 8] |= 1 << i % 8
    return bytes(out)


def header_of(given, n, r, m, t, q):
    quantiser, dp = given["quantiser"], given["dp"]
    return (
        bytes([1, 1])
        + bytes.fromhex(given["task_id"])
        + bytes.fromhex(given["round_id"])
        + bytes.fromhex(given["model_digest"])
        + varint(given["d"])
        + bytes([r])
        + varint(quantiser["levels"])
        + struct.pack("<f", quantiser["bound"])
        + varint(quantiser["weight_max"])
        + struct.pack("<ff", dp["noise_multiplier"], dp["clip"])
        + varint(dp["honest"])
        + b"".join(varint(value) for value in (given["n_floor"], given["g"], m, t, q))
    )


def keys_of(client):
    raw = {k: bytes.fromhex(v) for k, v in client.items() if isinstance(v, str)}
    raw["s_key"] = hkdf(bytes(32), raw["z_s"], b"flsa1/s-key")
    raw["sig"] = ed25519_keys(raw["signing_secret"])[2]
    raw["c"] = x25519(raw["channel_secret"], BASE)
    raw["s"] = x25519(raw["s_key"], BASE)
    return raw


def share(client, kind, x):
    value, power = int.from_bytes(bytes.fromhex(client["z_" + kind]), "little"), x
    for coefficient in client["coefficients_" + kind]:
        value += int.from_bytes(bytes.fromhex(coefficient), "little") * power
        power = power * x % L
    return (value % L).to_bytes(32, "little")


def kat(given):
    clients = given["clients"]
    n, d, r = len(clients), given["d"], given.get("r", 32)
    m, t, q = parameters.parameters(n, given["g"], given.get("drop", 300))
    m, t = given.get("m", m), given.get("t", t)
    header = header_of(given, n, r, m, t, q)
    secrets = [keys_of(client) for client in clients]
    out_lists = [
        client.get("out_list") or [j for j in range(n) if j != i] for i, client in enumerate(clients)
    ]
    assert all(len(out) == m and out == sorted(set(out)) for out in out_lists)
    keys = [s["sig"] + s["c"] + s["s"] for s in secrets]
    # An attested roster has a token after each client's keys.
    roster = b"".join(key + s.get("token", b"") for key, s in zip(keys, secrets))
    ctx = sha256(b"flsa1/ctx", header, sha256(roster))
    shared = given.get("shared")
    shared = list(range(n)) if shared is None else sorted(shared)
    survivors = given.get("survivors")
    survivors = shared if survivors is None else sorted(survivors)
    u2, u3 = bitmap(n, shared), bitmap(n, survivors)
    digest = sha256(b"flsa1/ack", ctx, u2, u3)

    pairs = {}
    for i in range(n):
        for j in range(i + 1, n):
            if j in out_lists[i] or i in out_lists[j]:
                a, b = secrets[i]["s"], secrets[j]["s"]
                agreed = x25519(secrets[i]["s_key"], b)
                key = hkdf(ctx, agreed, b"flsa1/pair-mask" + min(a, b) + max(a, b))
                pairs[i, j] = agreed, key

    out = []
    for i, own in enumerate(secrets):
        self_key = hkdf(ctx, own["z_b"], b"flsa1/self-mask" + u16(i))
        shares, boxes = [], []
        for x, j in enumerate(out_lists[i], 1):
            b, s = share(clients[i], "b", x), share(clients[i], "s", x)
            shares.append({"to": j, "x": x, "share_b": b.hex(), "share_s": s.hex()})
            agreed = x25519(own["channel_secret"], secrets[j]["c"])
            key = hkdf(ctx, agreed, b"flsa1/share-box" + own["c"] + secrets[j]["c"])
            sealed = seal(key, bytes(12), b + s, ctx + u16(i) + u16(j))
            boxes.append({"to": j, "key": key.hex(), "sealed": sealed.hex()})
        update, masked, y, signed = clients[i].get("update"), None, None, None
        if update is not None and i in shared:
            masked = [a + b for a, b in zip(update, mask(self_key, d, r))]
            for j in shared:
                if (min(i, j), max(i, j)) in pairs:
                    key, sign = pairs[min(i, j), max(i, j)][1], 1 if i < j else -1
                    masked = [a + sign * b for a, b in zip(masked, mask(key, d, r))]
            masked = [a % 2**r for a in masked]
            y = pack(masked, r)
            message = b"flsa1/upload" + ctx + u16(i) + sha256(y)
            signed = ed25519_sign(own["signing_secret"], message)
        out.append(
            {
                "index": i,
                "signing_key": own["sig"].hex(),
                "channel_key": own["c"].hex(),
                "mask_secret": own["s_key"].hex(),
                "mask_key": own["s"].hex(),
                "token_nonce": sha256(keys[i]).hex(),
                "self_mask_key": self_key.hex(),
                "self_mask": mask(self_key, 20, r),
                "commitment_b": sha256(b"flsa1/com", ctx, u16(i), b"\0", own["z_b"]).hex(),
                "commitment_s": sha256(b"flsa1/com", ctx, u16(i), b"\1", own["z_s"]).hex(),
                "out_list": out_lists[i],
                "shares": shares,
                "boxes": boxes,
                "upload": y and y.hex(),
                "upload_digest": y and sha256(y).hex(),
                "masked_update": masked,
                "upload_signature": signed and signed.hex(),
                "ack_signature": ed25519_sign(own["signing_secret"], digest).hex(),
            }
        )
    updates = [clients[i].get("update") for i in survivors]
    total = None if None in updates else [sum(column) % 2**r for column in zip(*updates)]
    return {
        "n": n,
        "m": m,
        "t": t,
        "q": q,
        "header": header.hex(),
        "roster": roster.hex(),
        "roster_digest": sha256(roster).hex(),
        "ctx": ctx.hex(),
        "clients": out,
        "pairs": [
            {
                "i": i,
                "j": j,
                "shared_secret": agreed.hex(),
                "key": key.hex(),
                "mask": mask(key, 20, r),
            }
            for (i, j), (agreed, key) in sorted(pairs.items())
        ],
        "shared": u2.hex(),
        "survivors": u3.hex(),
        "d": digest.hex(),
        "sum": total,
    }


def check_opening(given, values):
    """What an aggregator does: the survivors' vectors, opened masks taken off, are their sum."""
    n, d, r = len(given["clients"]), given["d"], given.get("r", 32)
    u3, u2 = (
        [i for i in range(n) if bytes.fromhex(values[key])[i // 8] >> i % 8 & 1]
        for key in ("survivors", "shared")
    )
    total = [sum(column) for column in zip(*(values["clients"][i]["masked_update"] for i in u3))]
    for i in u3:
        key = bytes.fromhex(values["clients"][i]["self_mask_key"])
        total = [a - b for a, b in zip(total, mask(key, d, r))]
    for pair in values["pairs"]:
        for survivor, lost in ((pair["i"], pair["j"]), (pair["j"], pair["i"])):
            if survivor in u3 and lost in u2 and lost not in u3:
                sign = 1 if survivor < lost else -1
                stream = mask(bytes.fromhex(pair["key"]), d, r)
                total = [a - sign * b for a, b in zip(total, stream)]
    assert [a % 2**r for a in total] == values["sum"], "the masks do not cancel"


def with_digests(values):
    """Long lists as SHA-256 of their compact JSON, so that a vector stays small."""

    def digest(value):
        return sha256(json.dumps(value, separators=(",", ":")).encode()).hex()

    clients = [
        {**client, **{key: digest(client[key]) for key in LONG_OF_CLIENT}}
        for client in values["clients"]
    ]
    return {**values, "clients": clients, **{key: digest(values[key]) for key in LONG}}


if __name__ == "__main__":
    check_rfc_vectors()
    with open(sys.argv[1], encoding="utf-8") as file:
        found = kat(json.load(file))
    print(json.dumps(with_digests(found) if "--digests" in sys.argv else found, indent=1))
