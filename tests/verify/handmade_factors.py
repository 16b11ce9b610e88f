"""Certificates of factor norms written by hand, and what makes each break rules 14 and 52 to 54.

X = I and two outputs, so that G = Y at A = −Y. Rows (1, ±1) and (0, 0) keep the objective of `handmade`.
"""

import numpy as np

from .forging import array, claiming, entry
from .handmade import LINEAR, handmade, hexadecimal
from .packing import packed

PENALTY = "statement.branches.0.penalty"
EQUAL, MIXED, OPPOSITE = [1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]
HALVES = {"l1": 0.5, "l2": 0.5}


def side(norm, cone=False):
    weights = {norm: 1.0} if isinstance(norm, str) else norm
    return {"l1": 0.0, "l2": 0.0, "linf": 0.0, "nonnegative": cone} | weights


def factors(row, left, right, upper, proof=None, arrays=None):
    """A certificate by vertices, or with the arrays of a semidefinite proof."""
    penalty = {"name": "factor-norms", "strength": 3.0, "left": left, "right": right}
    y = np.array([row, [0, 0]])
    given = {"X": np.eye(2), "Y": y, "A": -y} | (arrays or {})
    kind = "semidefinite" if proof else "vertices"
    return handmade(proof, upper=upper, arrays=given, penalty=penalty, kind=kind, d=2, c=2)


def rows_by_length():
    """√2."""
    return factors(EQUAL, side("l1"), side("l2"), 1.42)


def columns_by_length():
    """1."""
    return factors(EQUAL, side("l2"), side("l1"), 1.01)


def rows_by_sums():
    """2."""
    return factors(EQUAL, side("l1"), side("linf"), 2.01)


def rows_by_mixtures():
    """t with √2 (1 − t/2) = t/2, 1.1716."""
    return factors(EQUAL, side("l1"), side(HALVES), 1.18)


def signed_rows():
    """(1, 0) and (0, 1) for both signs of u: 1."""
    return factors(MIXED, side("l1"), side("l2", True), 1.01)


def negative_rows():
    """No product of nonnegative factors correlates with −1: 0."""
    return factors(OPPOSITE, side("l1", True), side("l2", True), 0.01)


def negative_columns():
    return factors(OPPOSITE, side("l2", True), side("l1", True), 0.01)


def diagonal():
    """max |G s| = 2 over signs: A = 1.01 I, B = 0.51 I, and 0.51 ≥ 1/(2 · 1.01)."""
    return factors(EQUAL, side("l2"), side("linf"), 2.04, _forms(1.01, 0.51, levels=(1.01, 0.0)))


def flipped_diagonal():
    """The same of Gᵀ."""
    y = np.array([[1.0, 0], [1, 0]])
    proof = _forms(0.51, 1.01, levels=(0.0, 1.01))
    return factors(EQUAL, side("linf"), side("l2"), 2.04, proof, {"Y": y, "A": -y})


def two_diagonals():
    """Both norms l∞: max |sᵀG t| = 2. A = diag(1.01, 0.01), B = 0.51 I: 2.04."""
    proof = _forms(np.diag([1.01, 0.01]), 0.51, levels=(0.0, 0.0))
    return factors(EQUAL, side("linf"), side("linf"), 2.05, proof)


def two_cones():
    """G + E = [[1, 0], [0, 0]] of norm 1; without E it is √2."""
    proof = _forms(0.51, 0.51, levels=(0.51, 0.51), cross=np.array([[0.0, 1], [0, 0]]))
    return factors(MIXED, side("l2", True), side("l2", True), 1.03, proof)


def one_cone():
    """|v₁ − v₂| ≤ 1 for v ≥ 0: B has −1/2 beside its diagonal."""
    right = np.array([[0.52, -0.5], [-0.5, 0.52]])
    return factors(MIXED, side("l2"), side("l2", True), 1.04, _forms(0.51, right, levels=(0.51, 0.52)))


def one_cone_of_signs():
    """|v₁ − v₂| ≤ 1 for 0 ≤ v ≤ 1, where only positive entries of B count."""
    right = np.array([[0.52, -0.5], [-0.5, 0.52]])
    return factors(MIXED, side("l2"), side("linf", True), 1.6, _forms(0.51, right, levels=(0.51, 0.0)))


def mixture():
    """B = λ (w I + w' 11ᵀ), λ = 0.59, with w and w' = 0.5429 and 0.4571 of the line: 0.6 + 0.59."""
    product = (0.5 * np.sqrt(2) + 0.5) ** 2 - 1
    right = 0.59 * ((1 - product) * np.eye(2) + product)
    return factors(EQUAL, side("l2"), side(HALVES), 1.2, _forms(0.6, right, levels=(0.6, 0.59 * (1 - product))))


def _forms(left, right, levels, **more):
    """Numbers stand for multiples of I."""
    found = (form * np.eye(2) if np.ndim(form) == 0 else form for form in (left, right))
    return dict(zip(("left", "right"), found, strict=True)) | {"levels": np.array(levels)} | more


def renormed(side_name, **weights):
    """Other weights, or another cone, on one side."""

    def forge(made):
        made[0]["statement"]["branches"][0]["penalty"][side_name] |= hexadecimal(weights)
        return packed(*made)

    return forge


def outside(name):
    return lambda made: packed(made[0], made[1] | {name: np.array([[0.0, -(2.0**-1074)]])})


BASES = [
    rows_by_length,
    columns_by_length,
    rows_by_sums,
    rows_by_mixtures,
    signed_rows,
    negative_rows,
    negative_columns,
    diagonal,
    flipped_diagonal,
    two_diagonals,
    two_cones,
    one_cone,
    one_cone_of_signs,
    mixture,
]
RULES = [
    (14, "degree", *entry(rows_by_length, "statement.branches.0.layers", [LINEAR, {"op": "relu"}, LINEAR])),
    (14, "strength", *entry(rows_by_length, f"{PENALTY}.strength", 0.0)),
    (24, "polar-scale", *entry(rows_by_length, f"{PENALTY}.strength", 0.7)),
    (52, "norms", rows_by_length, renormed("left", l1=2.0)),
    (52, "norms", rows_by_length, renormed("right", linf=1.0)),
    (52, "norms", rows_by_length, renormed("right", l1=-0.5)),
    (52, "cone", two_cones, outside("F0.0")),
    (52, "cone", two_cones, outside("F0.1")),
    (53, "polar", rows_by_length, claiming(1.41)),
    (53, "polar", columns_by_length, claiming(0.99)),
    (53, "polar", rows_by_sums, claiming(1.99)),
    (53, "polar", rows_by_mixtures, claiming(1.17)),
    (53, "polar", rows_by_mixtures, renormed("right", l1=0.4)),
    (53, "polar", signed_rows, claiming(0.99)),
    (53, "polar", signed_rows, renormed("right", nonnegative=False)),
    (53, "polar", negative_rows, renormed("left", nonnegative=False)),
    (53, "polar", negative_rows, renormed("right", nonnegative=False)),
    (53, "polar", negative_columns, renormed("left", nonnegative=False)),
    (53, "polar", negative_columns, renormed("right", nonnegative=False)),
    (53, "vertices-norms", rows_by_length, renormed("left", l1=0.0, l2=1.0)),
    (27, "proof-kind", *entry(rows_by_length, "proofs.0.kind", "spectral")),
    (54, "polar", diagonal, claiming(2.02)),
    (54, "polar", *array(diagonal, right=0.49 * np.eye(2))),
    (54, "polar", *array(diagonal, levels=np.zeros(2))),
    (54, "polar", flipped_diagonal, claiming(2.02)),
    (54, "polar", two_diagonals, claiming(2.03)),
    (54, "semidefinite-levels", *array(diagonal, levels=np.array([1.01, -(2.0**-1074)]))),
    (54, "polar", two_cones, claiming(1.01)),
    (54, "polar", *array(two_cones, cross=np.zeros((2, 2)))),
    (54, "semidefinite-cross", *array(two_cones, cross=np.array([[-(2.0**-1074), 1], [0, 0]]))),
    (10, "shape", two_cones, renormed("left", nonnegative=False)),
    (54, "polar", one_cone, renormed("right", nonnegative=False)),
    (54, "polar", one_cone_of_signs, renormed("right", nonnegative=False)),
    (54, "polar", mixture, claiming(1.18)),
    (54, "polar", mixture, renormed("right", l1=0.4)),
]
