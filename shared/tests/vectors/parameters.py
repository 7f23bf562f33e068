"""The numbers of a cohort's graph, from their definition in docs/protocol.md.

Numbers of ways are exact integers; only the third condition's sum is of logarithms.
"""
import functools
import math
from fractions import Fraction

PRIVACY, FAILURE = Fraction(1, 2**40), Fraction(1, 2**10)


def corrupt(n, g):
    return -(-n * g // 1000)


def quorum(n, g):
    q = (n + corrupt(n, g)) // 2 + 1
    return q if 3 <= n <= 1000 and q <= n else None


@functools.cache
def ways(marked, plain, draws, least):
    """To draw `draws` of `marked` and `plain` with at least `least` marked."""
    return sum(
        math.comb(marked, x) * math.comb(plain, draws - x)
        for x in range(max(least, draws - plain), min(draws, marked) + 1)
    )


def log2(number):
    return math.log2(number) if number else -math.inf


def hides(n, c, m, t):
    return n * Fraction(ways(c, n - 1 - c, m, t), math.comb(n - 1, m)) < PRIVACY


def lives(n, lost, m, t):
    """Less than t of m are there: more than m - t are lost."""
    return n * Fraction(ways(lost, n - 1 - lost, m, m - t + 1), math.comb(n - 1, m)) < FAILURE


def connects(n, c, q, m, t):
    """Below 2^-40: the sum over a of the smaller of two bounds, one of A alone, one of A and B."""
    h, total = n - c, log2(math.comb(n - 1, m))
    bound = 0.0
    for a in range(1, h // 2 + 1):
        inside = a - 1 + c
        own = log2(ways(inside, n - 1 - inside, m, t)) - total
        alone = log2(math.comb(h, a)) + a * min(0.0, own)
        # What A's own bound makes this small, B cannot make matter.
        smaller = alone
        if alone > -70:
            avoids = log2(math.comb(n - 1 - a, m)) - total
            terms = []
            for b in range(max(a, h - (n - q) - a), h - a + 1):
                held = log2(ways(inside, h - a - b, m, t)) - total
                sets = log2(math.comb(h, a)) + log2(math.comb(h - a, b))
                terms.append(sets + a * held + b * avoids)
            most = max(terms, default=-math.inf)
            both = most
            if most > -math.inf:
                both += math.log2(math.fsum(2 ** (term - most) for term in terms))
            smaller = min(alone, both)
        if smaller >= -40:
            return False
        bound += 2.0**smaller
    return bound < 2.0**-40


def parameters(n, g, drop):
    """(m, t, q), or None where there is no quorum."""
    q = quorum(n, g)
    if q is None:
        return None
    c, lost = corrupt(n, g), min(n * drop // 1000, n - 1)
    for m in range(4, n - 1) if n >= 50 else ():
        for t in range(1, m + 1):
            if not lives(n, lost, m, t):
                break
            if hides(n, c, m, t) and connects(n, c, q, m, t):
                return m, t, q
    return n - 1, (n + 1) // 2, q


def masks(n, m):
    """Pair masks that a client is expected to have."""
    return math.floor(2 * m - Fraction(m * m, n - 1) + Fraction(1, 2))
