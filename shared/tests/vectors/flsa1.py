#!/usr/bin/env python3
"""FLSA-1 as in docs/protocol.md, in plain Python, for known answers.

Shares no code with the crate. Checks itself against RFC vectors first, then reads the input of
`cargo xtask kat` and prints its output:

    python3 flsa1.py kat_input.json > kat_expected.json

Slow and not constant-time: for public test secrets only.
"""
import hashlib
import hmac
import json
import struct
import sys

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(salt, ikm, info):
    prk = hmac.new(salt, ikm, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()


# --- X25519, RFC 7748 section 5 ---
def x25519(secret, point):
    k = bytearray(secret)
    k[0] &= 248
    k[31] = (k[31] & 127) | 64
    k = int.from_bytes(k, "little")
    u = int.from_bytes(point, "little") % 2**255
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb = d * a, c * b
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        aa, bb = a * a % P, b * b % P
        e = aa - bb
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


BASE = (9).to_bytes(32, "little")


# --- ChaCha20 and Poly1305, RFC 8439 section 2 ---
def chacha20_block(key, counter, nonce):
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
    start += struct.unpack("<8L", key) + (counter,) + struct.unpack("<3L", nonce)
    s = list(start)

    def quarter(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            v = s[z] ^ s[x]
            s[z] = (v << n | v >> (32 - n)) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<16L", *((a + b) & 0xFFFFFFFF for a, b in zip(s, start)))


def chacha20(key, counter, nonce, length):
    blocks = (length + 63) // 64
    return b"".join(chacha20_block(key, counter + i, nonce) for i in range(blocks))[:length]


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(message), 16):
        total = (total + int.from_bytes(message[i : i + 16] + b"\x01", "little")) * r
        total %= 2**130 - 5
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def seal(key, nonce, plain, aad):
    def padded(data):
        return data + bytes(-len(data) % 16)

    cipher = bytes(a ^ b for a, b in zip(plain, chacha20(key, 1, nonce, len(plain))))
    lengths = struct.pack("<QQ", len(aad), len(cipher))
    one_time = chacha20(key, 0, nonce, 32)
    return cipher + poly1305(one_time, padded(aad) + padded(cipher) + lengths)


# --- Ed25519, RFC 8032 section 5.1, affine and slow ---
D = -121665 * pow(121666, P - 2, P) % P
BY = 4 * pow(5, P - 2, P) % P


def recover_x(y):
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return P - x if x & 1 else x


B = (recover_x(BY), BY)


def add(p, q):
    (x1, y1), (x2, y2) = p, q
    c = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + c, P - 2, P) % P
    return x, (y1 * y2 + x1 * x2) * pow(1 - c, P - 2, P) % P


def multiply(k, point):
    result = (0, 1)
    while k:
        if k & 1:
            result = add(result, point)
        point = add(point, point)
        k >>= 1
    return result


def compress(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def ed25519_keys(secret):
    h = hashlib.sha512(secret).digest()
    a = int.from_bytes(h[:32], "little") & (2**254 - 8) | 2**254
    return a, h[32:], compress(multiply(a, B))


def ed25519_sign(secret, message):
    a, prefix, public = ed25519_keys(secret)
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    big_r = compress(multiply(r, B))
    k = int.from_bytes(hashlib.sha512(big_r + public + message).digest(), "little") % L
    return big_r + ((r + k * a) % L).to_bytes(32, "little")


def check_rfc_vectors():
    h = bytes.fromhex
    assert x25519(
        h("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
        h("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
    ).hex() == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    assert chacha20(bytes(32), 0, bytes(12), 16).hex() == "76b8e0ada0f13d90405d6ae55386bd28"
    sealed = seal(
        bytes(range(0x80, 0xA0)),
        h("070000004041424344454647"),
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for "
        b"the future, sunscreen would be it.",
        h("50515253c0c1c2c3c4c5c6c7"),
    )
    assert sealed[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"
    okm = hkdf(h("000102030405060708090a0b0c"), b"\x0b" * 22, h("f0f1f2f3f4f5f6f7f8f9"))
    assert okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    secret = h("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert ed25519_keys(secret)[2].hex() == (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )
    assert ed25519_sign(secret, b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )


# --- FLSA-1 ---
def u16(value):
    return struct.pack("<H", value)


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def words(stream):
    return list(struct.unpack("<%dL" % (len(stream) // 4), stream))


def mask(key, count):
    return words(chacha20(key, 0, bytes(12), 4 * count))


def bitmap(n, members):
    out = bytearray((n + 7) // 8)
    for i in members:
        out[i // 8] |= 1 << i % 8
    return bytes(out)


def kat(given):
    clients = given["clients"]
    n, g, d = len(clients), given["g"], given["d"]
    m, t, q = n - 1, (n + 1) // 2, (n + (n * g + 999) // 1000) // 2 + 1
    quantiser, dp = given["quantiser"], given["dp"]
    header = (
        bytes([1, 1])
        + bytes.fromhex(given["task_id"])
        + bytes.fromhex(given["round_id"])
        + bytes.fromhex(given["model_digest"])
        + varint(d)
        + bytes([32])
        + varint(quantiser["levels"])
        + struct.pack("<f", quantiser["bound"])
        + varint(quantiser["weight_max"])
        + struct.pack("<ff", dp["noise_multiplier"], dp["clip"])
        + varint(dp["honest"])
        + b"".join(varint(value) for value in (given["n_floor"], g, m, t, q))
    )
    secrets = []
    for client in clients:
        raw = {k: bytes.fromhex(v) for k, v in client.items() if isinstance(v, str)}
        raw["s_key"] = hkdf(bytes(32), raw["z_s"], b"flsa1/s-key")
        raw["sig"] = ed25519_keys(raw["signing_secret"])[2]
        raw["c"] = x25519(raw["channel_secret"], BASE)
        raw["s"] = x25519(raw["s_key"], BASE)
        secrets.append(raw)
    roster = b"".join(s["sig"] + s["c"] + s["s"] for s in secrets)
    ctx = sha256(b"flsa1/ctx", header, sha256(roster))
    shared = given.get("shared")
    shared = list(range(n)) if shared is None else sorted(shared)
    survivors = given.get("survivors")
    survivors = shared if survivors is None else sorted(survivors)
    u2, u3 = bitmap(n, shared), bitmap(n, survivors)
    digest = sha256(b"flsa1/ack", ctx, u2, u3)

    def pair_key(i, j):
        a, b = secrets[i]["s"], secrets[j]["s"]
        agreed = x25519(secrets[i]["s_key"], b)
        return agreed, hkdf(ctx, agreed, b"flsa1/pair-mask" + min(a, b) + max(a, b))

    def share(i, kind, x):
        value, power = int.from_bytes(secrets[i]["z_" + kind], "little"), x
        for coefficient in clients[i]["coefficients_" + kind]:
            value += int.from_bytes(bytes.fromhex(coefficient), "little") * power
            power *= x
        return (value % L).to_bytes(32, "little")

    out = []
    for i, own in enumerate(secrets):
        self_key = hkdf(ctx, own["z_b"], b"flsa1/self-mask" + u16(i))
        others = [j for j in range(n) if j != i]
        shares, boxes = [], []
        for x, j in enumerate(others, 1):
            b, s = share(i, "b", x), share(i, "s", x)
            shares.append({"to": j, "x": x, "share_b": b.hex(), "share_s": s.hex()})
            agreed = x25519(own["channel_secret"], secrets[j]["c"])
            key = hkdf(ctx, agreed, b"flsa1/share-box" + own["c"] + secrets[j]["c"])
            sealed = seal(key, bytes(12), b + s, ctx + u16(i) + u16(j))
            boxes.append({"to": j, "key": key.hex(), "sealed": sealed.hex()})
        update, masked = clients[i].get("update"), None
        if update is not None and i in shared:
            masked = [a + b for a, b in zip(update, mask(self_key, d))]
            for j in shared:
                if j != i:
                    sign = 1 if i < j else -1
                    pair = mask(pair_key(i, j)[1], d)
                    masked = [a + sign * b for a, b in zip(masked, pair)]
            masked = [a % 2**32 for a in masked]
        y = None if masked is None else sha256(struct.pack("<%dL" % d, *masked))
        signed = y and ed25519_sign(own["signing_secret"], b"flsa1/upload" + ctx + u16(i) + y)
        out.append(
            {
                "index": i,
                "signing_key": own["sig"].hex(),
                "channel_key": own["c"].hex(),
                "mask_secret": own["s_key"].hex(),
                "mask_key": own["s"].hex(),
                "self_mask_key": self_key.hex(),
                "self_mask": mask(self_key, 20),
                "commitment_b": sha256(b"flsa1/com", ctx, u16(i), b"\0", own["z_b"]).hex(),
                "commitment_s": sha256(b"flsa1/com", ctx, u16(i), b"\1", own["z_s"]).hex(),
                "shares": shares,
                "boxes": boxes,
                "upload_digest": y and y.hex(),
                "masked_update": masked,
                "upload_signature": signed and signed.hex(),
                "ack_signature": ed25519_sign(own["signing_secret"], digest).hex(),
            }
        )
    pairs = []
    for i in range(n):
        for j in range(i + 1, n):
            agreed, key = pair_key(i, j)
            pairs.append(
                {
                    "i": i,
                    "j": j,
                    "shared_secret": agreed.hex(),
                    "key": key.hex(),
                    "mask": mask(key, 20),
                }
            )
    updates = [clients[i].get("update") for i in survivors]
    total = None if None in updates else [sum(column) % 2**32 for column in zip(*updates)]
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
        "pairs": pairs,
        "shared": u2.hex(),
        "survivors": u3.hex(),
        "d": digest.hex(),
        "sum": total,
    }


if __name__ == "__main__":
    check_rfc_vectors()
    with open(sys.argv[1], encoding="utf-8") as file:
        print(json.dumps(kat(json.load(file)), indent=1))
