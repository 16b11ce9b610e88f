"""Certificates of entries under norms of factors written by hand, and what makes each break rules 14, 52 to 54 and 59.

G = (1, −1) at two entries; the rest is as in `handmade_entries`.
"""

import numpy as np

from .forging import array, claiming, entry
from .handmade import hexadecimal
from .handmade_entries import BRANCH, DIAGONAL, ROW, as_spectral, entries
from .handmade_factors import HALVES, _forms, side
from .packing import packed

PENALTY = f"{BRANCH}.penalty"
SLICE = np.array([[0.0, 0, 0], [0, 1, 1]])
FIBRE = np.array([[0.0, 0, 0], [0, 1, 0]])
LENGTH, LENGTH_CONE, SUM, SUM_CONE, MOST = side("l2"), side("l2", True), side("l1"), side("l1", True), side("linf")


def normed(upper, *norms, places=ROW, kind="vertices", proof=None):
    """Norms of two factors or three."""
    shape = (2,) * len(norms)
    penalty = {"name": "factor-norms", "strength": 3.0, "norms": list(norms)}
    header, arrays = entries(places, shape, kind=kind, proof=proof, penalty=penalty, upper=upper)
    after = {name: arrays.pop(name) for name in ("A", *(name for name in arrays if name.startswith("P0.")))}
    return header, arrays | {f"F0.{axis}": np.zeros((1, 2)) for axis in range(2, len(norms))} | after


def rows_by_length():
    """√2."""
    return normed(1.42, SUM, LENGTH)


def columns_by_length():
    """1."""
    return normed(1.01, LENGTH, SUM)


def rows_by_sums():
    """2."""
    return normed(2.01, SUM, MOST)


def rows_by_mixtures():
    """t with √2 (1 − t/2) = t/2, 1.1716."""
    return normed(1.18, SUM, side(HALVES))


def by_entry():
    """1."""
    return normed(1.01, SUM, SUM)


def signed_rows():
    """(1, 0) and (0, 1) for both signs of u: 1."""
    return normed(1.01, SUM, LENGTH_CONE)


def negative(*norms, **settings):
    """G = (−1, 0): no product of nonnegative factors correlates with it."""
    header, arrays = normed(0.01, *norms, **settings)
    header["claim"]["lower"] = (-9.0).hex()
    return header, arrays | {"A": np.array([[1.0], [0]])}


def negative_rows():
    return negative(SUM_CONE, LENGTH_CONE)


def negative_columns():
    return negative(LENGTH_CONE, SUM_CONE)


def negative_slices():
    return negative(SUM_CONE, LENGTH_CONE, LENGTH_CONE, places=SLICE)


def slices():
    """Diag(1, −1), of norm 1 and length √2."""
    return normed(1.01, SUM, LENGTH, LENGTH, places=SLICE)


def columns_of_slices():
    """(1, −1) in a slice: √2."""
    return normed(1.42, LENGTH, LENGTH, SUM, places=FIBRE)


def wide_slices():
    """Norms l∞ and l2: √2 times the norm of a slice, 1."""
    return normed(1.42, MOST, SUM, LENGTH, places=np.array([[0.0, 0, 0], [1, 0, 1]]))


def fibres():
    """√2."""
    return normed(1.42, SUM, LENGTH, SUM, places=FIBRE)


def wide():
    """R = √2 (1, −1), of norm 2."""
    return normed(2.01, MOST, LENGTH, kind="spectral")


def two_cones():
    """R = (1, 0)."""
    return normed(1.01, LENGTH_CONE, LENGTH_CONE, kind="spectral")


def wide_unfolding():
    """√2 diag(1, −1)."""
    proof = {"sides": np.array([1, 0, 0], np.uint8)}
    corners = np.array([[0.0, 0, 0], [1, 1, 1]])
    return normed(1.42, MOST, LENGTH, LENGTH, places=corners, kind="unfolding", proof=proof)


def diagonal():
    """max |G s| = 2 over signs: A = 1.01 I, B = 0.51 I, and 0.51 ≥ 1/(2 · 1.01)."""
    return normed(2.04, LENGTH, MOST, kind="semidefinite", proof=_forms(1.01, 0.51, levels=(1.01, 0.0)))


def two_cones_of_forms():
    """G + E = [[1, 0], [0, 0]] of norm 1; without E it is √2."""
    proof = _forms(0.51, 0.51, levels=(0.51, 0.51), cross=np.array([[0.0, 1], [0, 0]]))
    return normed(1.03, LENGTH_CONE, LENGTH_CONE, kind="semidefinite", proof=proof)


def renormed(axis, **weights):
    """Other weights, or another cone, along one axis."""

    def forge(made):
        made[0]["statement"]["branches"][0]["penalty"]["norms"][axis] |= hexadecimal(weights)
        return packed(*made)

    return forge


def outside(name):
    return lambda made: packed(made[0], made[1] | {name: np.array([[0.0, -(2.0**-1074)]])})


def as_forms(made):
    """Forms of two factors, of three."""
    made[0]["proofs"][0]["kind"] = "semidefinite"
    return packed(*made)


BASES = [
    *(rows_by_length, columns_by_length, rows_by_sums, rows_by_mixtures, by_entry, signed_rows),
    *(negative_rows, negative_columns, negative_slices, slices, columns_of_slices, wide_slices, fibres),
    *(wide, two_cones, wide_unfolding, diagonal, two_cones_of_forms),
]
RULES = [
    (9, "schema", *entry(rows_by_length, f"{PENALTY}.norms.0.nonnegative", None)),
    (9, "schema", *entry(rows_by_length, f"{PENALTY}.norms", side("l1"))),
    (14, "degree", *entry(rows_by_length, f"{PENALTY}.norms", [SUM])),
    (14, "degree", *entry(fibres, f"{PENALTY}.norms", [SUM, LENGTH])),
    (14, "strength", *entry(rows_by_length, f"{PENALTY}.strength", 0.0)),
    (17, "objective", *array(rows_by_length, **{"F0.0": np.array([[1.0, 0]]), "F0.1": np.array([[1.0, 0]])})),
    (24, "polar-scale", *entry(rows_by_length, f"{PENALTY}.strength", 0.7)),
    (26, "polar", *entry(rows_by_length, "proofs.0.kind", "zero")),
    (26, "proof-kind", slices, as_spectral),
    (26, "proof-kind", slices, as_forms),
    (52, "norms", rows_by_length, renormed(0, l1=2.0)),
    (52, "norms", rows_by_length, renormed(1, linf=1.0)),
    (52, "norms", fibres, renormed(2, l1=-1.0)),
    (52, "cone", two_cones, outside("F0.0")),
    (52, "cone", negative_slices, outside("F0.2")),
    (53, "polar", rows_by_length, claiming(1.41)),
    (53, "polar", columns_by_length, claiming(0.99)),
    (53, "polar", *array(columns_by_length, X=np.array([[0.0, 0], [1, 0]]))),
    (53, "polar", rows_by_sums, claiming(1.99)),
    (53, "polar", rows_by_mixtures, claiming(1.17)),
    (53, "polar", rows_by_mixtures, renormed(1, l1=0.4)),
    (53, "polar", by_entry, claiming(0.99)),
    (53, "polar", *entry(by_entry, f"{BRANCH}.layers.0.scale", -1.1)),
    (53, "polar", signed_rows, claiming(0.99)),
    (53, "polar", signed_rows, renormed(1, nonnegative=False)),
    (53, "polar", negative_rows, renormed(0, nonnegative=False)),
    (53, "polar", negative_rows, renormed(1, nonnegative=False)),
    (53, "polar", negative_columns, renormed(0, nonnegative=False)),
    (53, "polar", negative_columns, renormed(1, nonnegative=False)),
    (53, "polar", negative_slices, renormed(0, nonnegative=False)),
    (53, "polar", negative_slices, renormed(1, nonnegative=False)),
    (53, "polar", slices, claiming(0.99)),
    (53, "polar", *array(slices, X=FIBRE)),
    (53, "polar", columns_of_slices, claiming(1.41)),
    (53, "polar", wide_slices, claiming(1.41)),
    (53, "polar", fibres, claiming(1.41)),
    (53, "vertices-norms", rows_by_length, renormed(0, l1=0.0, l2=1.0)),
    (53, "vertices-norms", slices, renormed(0, l1=0.0, l2=1.0)),
    (54, "polar", diagonal, claiming(2.02)),
    (54, "polar", *array(diagonal, X=DIAGONAL, left=0.49 * np.eye(2))),
    (54, "semidefinite-levels", *array(diagonal, levels=np.array([1.01, -(2.0**-1074)]))),
    (54, "polar", *array(two_cones_of_forms, cross=np.zeros((2, 2)))),
    (54, "semidefinite-cross", *array(two_cones_of_forms, cross=np.array([[-(2.0**-1074), 1], [0, 0]]))),
    (10, "shape", *array(two_cones_of_forms, cross=None)),
    (59, "polar", wide, claiming(1.99)),
    (59, "polar", two_cones, claiming(0.99)),
    (59, "polar", two_cones, renormed(0, nonnegative=False)),
    (59, "polar", wide_unfolding, claiming(1.41)),
    (59, "polar", *entry(wide_unfolding, f"{PENALTY}.norms.1", MOST)),
]
