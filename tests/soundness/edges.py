"""Numbers like a given one, and numbers at which arithmetic has an edge."""

from __future__ import annotations

import math

EDGES = (0.0, -0.0, 1.0, -1.0, 2.0**-1074, 2.0**-600, 2.0**-199, 2.0**199, -(2.0**199), 1e-16, 1e16)


def changed_number(rng, text):
    value = float.fromhex(text)
    match rng.integers(6):
        case 0:
            value = math.nextafter(value, rng.choice([-math.inf, math.inf]))
        case 1:
            value *= 1 + rng.choice([-1, 1]) * 10 ** rng.uniform(-16, 0)
        case 2:
            value = float(rng.choice(EDGES))
        case 3:
            value = -value
        case 4:
            value *= 2.0 ** rng.integers(-40, 40)
        case _:
            value += 10 ** rng.uniform(-16, 2) * rng.choice([-1, 1])
    return float(value).hex()
