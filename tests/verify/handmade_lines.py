"""Certificates of unequal degrees written by hand, and what makes each break rule 62.

One target 4 and half the squared error: h(τ) = (4 − τ)²/2, and at −sA = s a line s (4 − τ) − s²/2. Four factors of
weight decay 1/2, or u and v of 4/3 and 2/3 under a square, make λ = 1: the least value is that of h(τ) + τ^(2/D).
Neighboring lines s and t meet at τ = 4 − (s + t)/2. For D = 4 the bound is 1.966…, where the lines of 1/4 and 1/2 meet,
and 1.962… without the latter; without a kink there it would be 1.968….
"""

import numpy as np

from .forging import array, claiming, entry, set_at
from .handmade import LINEAR, handmade, hexadecimal
from .handmade_unfoldings import sides, unfolding
from .packing import packed

SCALES = 0.0, 0.25, 0.5, 1.0, 2.0, 4.0
UPPER = 1 + 2.0**-12
DECAY = {"name": "weight-decay", "strengths": [0.5] * 4, "bias": None}
SQUARE = {"name": "weight-decay", "strengths": [4 / 3, 2 / 3], "bias": None}
PENALTY = "statement.branches.0.penalty"
ONE = np.ones((1, 1))


def lines(*pairs):
    return hexadecimal({"lines": [{"point": point, "scale": scale} for point, scale in pairs]})


def tensor():
    """Four factors 3.75^(1/4): the objective is 1/32 + √3.75 = 1.967…."""
    layers = [{"op": "entries", "shape": [1] * 4, "scale": 1.0}]
    factors = {f"F0.{axis}": 3.75**0.25 * ONE for axis in range(4)}
    header, _ = handmade(layers=layers, d=4, penalty=DECAY, kind="unfolding", upper=UPPER)
    header["dual"] = lines(*((0, scale) for scale in SCALES))
    header["claim"] |= hexadecimal({"upper": 1.968, "lower": 1.964})
    proof = {"P0.sides": sides(1, 0, 0, 0)}
    return header, {"X": np.zeros((1, 4)), "Y": 4 * ONE, **factors, "A.0": -ONE} | proof


def square():
    """No network: the objective is 8."""
    layers = [LINEAR, {"op": "square"}, LINEAR]
    header, _ = handmade(layers=layers, penalty=SQUARE, kind="quadratic-form", upper=UPPER)
    header["dual"] = lines(*((0, scale) for scale in SCALES))
    header["claim"] |= hexadecimal({"upper": 8.5, "lower": 2.4})
    empty = np.zeros((0, 1))
    return header, {"X": ONE, "Y": 4 * ONE, "F0.0": empty, "F0.1": empty, "A.0": -ONE}


def two_points():
    """The line of 1/4 from a dual point of its own."""
    header, arrays = tensor()
    sides_of_both = {f"P{at}.sides": arrays.pop("P0.sides") if at == 0 else sides(0, 1, 0, 0) for at in range(2)}
    header["dual"] = lines((0, 0.0), (1, 1.0), *((0, scale) for scale in SCALES[2:]))
    header["proofs"].append(header["proofs"][0] | hexadecimal({"upper": UPPER / 4}))
    return header, arrays | {"A.1": -ONE / 4} | sides_of_both


def without(*gone):
    """Some lines."""

    def forge(made):
        header, arrays = made
        header["dual"]["lines"] = [line for at, line in enumerate(header["dual"]["lines"]) if at not in gone]
        return packed(header, arrays)

    return forge


def many(made):
    made[0]["dual"]["lines"] *= 11
    return packed(*made)


def with_scale(made):
    """One dual point and its scale, as where degrees are equal."""
    header, arrays = made
    header["dual"] = hexadecimal({"scale": 0.5})
    return packed(header, {name.replace("A.0", "A"): values for name, values in arrays.items()})


def with_lines(made):
    """Lines where degrees are equal."""
    header, arrays = made
    header["dual"] = lines((0, 0.0), (0, 0.5))
    return packed(header, {"A.0" if name == "A" else name: values for name, values in arrays.items()})


def of_two_degrees(made):
    """A square under weight decay beside one under a product of norms."""
    header, arrays = made
    header["statement"]["branches"].append(dict(header["statement"]["branches"][0]))
    set_at(header, "statement.branches.1.penalty", {"name": "product-of-norms", "strength": 9.0, "powers": [2, 1]})
    header["proofs"] *= 2
    dual = arrays.pop("A.0")
    return packed(header, arrays | {"F1.0": arrays["F0.0"], "F1.1": arrays["F0.1"], "A.0": dual})


def without_branches(made):
    header, arrays = made
    header["statement"]["branches"], header["proofs"] = [], []
    return packed(header, {name: values for name, values in arrays.items() if name[0] not in "FP"})


BASES = [tensor, square, two_points]
RULES = [
    (9, "schema", *entry(tensor, "dual.lines", [])),
    (9, "schema", tensor, many),
    (9, "schema", *entry(tensor, "dual.lines.2.point", 1)),
    (9, "schema", *entry(tensor, "dual.lines.2.point", -1)),
    (9, "schema", *entry(tensor, "dual.lines.2.scale", 1)),
    (9, "schema", *entry(tensor, "dual.scale", 1.0)),
    (9, "schema", two_points, without(1)),
    (9, "schema", square, without_branches),
    (10, "shape", *array(two_points, **{"A.1": None})),
    (10, "shape", *array(two_points, **{"P1.sides": None})),
    (14, "degree", tensor, with_scale),
    (14, "degree", square, with_scale),
    (14, "degree", unfolding, with_lines),
    (14, "degree", square, of_two_degrees),
    (14, "degree", *entry(tensor, f"{PENALTY}.name", "counted-weight-decay")),
    (14, "strength", *entry(tensor, f"{PENALTY}.strengths.3", 0.0)),
    (18, "dual-scale", *entry(tensor, "dual.lines.2.scale", -0.5)),
    (23, "polar", tensor, claiming(1 - 2.0**-20)),
    (23, "polar", *entry(two_points, "proofs.1.upper", 0.25 - 2.0**-20)),
    (62, "dual-value", *entry(tensor, "claim.lower", 1.9675)),
    (62, "dual-value", *entry(square, "claim.lower", 2.43)),
    (62, "dual-value", tensor, without(0)),
    (62, "dual-value", tensor, without(2)),
    (62, "dual-value", tensor, without(3, 4, 5)),
    (62, "dual-value", *entry(tensor, "dual.lines.0.scale", 2.0**-30)),
    (62, "dual-value", *entry(tensor, f"{PENALTY}.strengths.1", 0.49)),
    (62, "dual-value", *entry(square, f"{PENALTY}.strengths.0", 1.3)),
    (62, "dual-value", *entry(two_points, "dual.lines.1.scale", 0.0)),
    (62, "dual-value", *array(tensor, Y=3.99 * ONE)),
]
