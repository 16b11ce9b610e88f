"""Trees of signs written by hand, and what makes each break rule 48.

The two samples ±1 of `handmade` have q = ±(1, −1) and relu(u) − relu(−u) = u, polar 1. Undecided, the row of r > 0
gives w = ±1/2 and a constant of 1/2, and s = 0 for the other adds nothing: 1 in all.
"""

import numpy as np

from .forging import array, claiming, entry
from .handmade import LINEAR, handmade
from .packing import packed

VOID = 255
MOST_ROWS = 254
OPEN = [[0.5, 0.0], [0.0, 0.5]]
# On the side t₁ ≥ 0, t₂ = −t₁ ≥ 0 is void; what then has t₂ ≤ 0 is a leaf, as is t₁ ≤ 0.
WITHIN = [1, 2, VOID, 0, 0]


def leaves(**settings):
    """Nothing is decided."""
    return _certificate([0, 0], OPEN, **settings)


def decided():
    """Rows (2, 1), 2 relu(u) − relu(u): where t₁ ≥ 0 w = 2 − s, s = 1. Of the other sign w = 1/2 − 2 s, and 1/2."""
    given = [[0.0, 1], [0, 0], [0.25, 0.5]]
    return _certificate([1, 0, 0, 0], given, arrays={"X": np.array([[2.0], [1]])}, upper=1.12)


def void():
    """−1 + α₁ = 0 for α₁ = 1. Then w = 1 of the first sign, and −1 + α₁ = 0 of the other, whose t₁ ≤ 0 leaves 1."""
    return _certificate(WITHIN * 2, [[1, 0], [0, 0], [0, 0]] + [[1, 0], [1, 0], [0, 0.5]])


def thick():
    """The same, but α₁ = 1/2 of the second void node leaves an edge of 1/2, which r₂ = 1 counts beside w = 0."""
    return _certificate(WITHIN * 2, [[1, 0], [0, 0], [0, 0]] + [[0.5, 0], [1, 0], [0, 0.5]])


def leaky_leaves():
    """Slope −1/2: r = ±3/2 beside −u/2 · (±2): w = ∓1/4, a constant of 3/4; the polar is 1/2."""
    layers = [LINEAR, {"op": "leaky_relu", "slope": -0.5}, LINEAR]
    return _certificate([0, 0], OPEN, layers=layers, upper=1.01)


def free_signs():
    """A free bias, X̃ = (x, 1), ρ = 2: √2 |(1, 1)| = 2 where the row of r > 0 is positive, else 0; the polar is 2."""
    given, free = np.zeros((4, 2)), {"center": np.zeros(1), "column": np.ones(1)}
    return _certificate([1, 0, 0, 2, 0, 0], given, free, hidden_bias="free", upper=2.1)


def _certificate(splits, multipliers, free=None, **settings):
    proof = {"splits": np.array(splits, np.uint8), "multipliers": np.array(multipliers, float)} | (free or {})
    return handmade(proof, **({"family": "relu", "kind": "sign-tree", "upper": 1.12} | settings))


def many_rows(made):
    header, arrays = made
    rows = {name: np.zeros((MOST_ROWS + 1, 1)) for name in ("X", "Y", "A")}
    return packed(header, arrays | rows | {"P0.multipliers": np.zeros((2, MOST_ROWS + 1))})


def nodes(*splits):
    return {"splits": np.array(splits, np.uint8)}


def given(*multipliers):
    return {"multipliers": np.array(multipliers, float)}


BASES = [leaves, decided, void, thick, leaky_leaves, free_signs]
LAST = [0.25, 0.5]
RULES = [
    (11, "size-limit", leaves, many_rows),
    (48, "sign-tree-outputs", *array(leaves, Y=np.eye(2) - np.eye(2)[::-1], A=np.eye(2), **{"F0.1": np.zeros((1, 2))})),
    # A leaf is missing, or one too many; nodes or multipliers are.
    (48, "sign-tree-shape", *array(decided, **nodes(1, 0, 0), **given([0, 1], [0, 0]))),
    (48, "sign-tree-shape", *array(decided, **nodes(1, 0, 0, 0, 0), **given([0, 1], [0, 0], LAST, LAST))),
    (48, "sign-tree-shape", *array(decided, **nodes(1, 0, 0))),
    (48, "sign-tree-shape", *array(decided, **given([0, 1], [0, 0]))),
    # Rows that are not there, or decided twice: below t₁ ≥ 0, or below what a void node shows.
    (48, "sign-tree-row", *array(decided, **nodes(3, 0, 0, 0))),
    (48, "sign-tree-row", *array(decided, **nodes(1, 1, 0, 0, 0, 0), **given([0, 1], [0, 0], [0, 0], LAST))),
    (48, "sign-tree-row", *array(void, **nodes(1, 2, VOID, 2, 0, 0, 0, 0), **given([1, 0], *[[0, 0]] * 3, OPEN[1]))),
    (48, "sign-tree-void", *array(decided, **nodes(1, VOID, VOID, 0))),
    (48, "sign-tree-void", *array(leaves, **nodes(VOID, 0))),
    # α < 0 of t₁ ≥ 0; s < 0; s > 1, each of which would show less than there is.
    (48, "sign-tree-multipliers", void, claiming(0.6, **given([1, 0], [-0.5, 0], [0, 0], [1, 0], [1, 0], [0, 0.5]))),
    (48, "sign-tree-multipliers", leaves, claiming(0.6, **given([0.5, -0.5], [-0.5, 0.5]))),
    (48, "sign-tree-multipliers", decided, claiming(0.6, **given([0, 2], [0, 0], LAST))),
    (48, "polar", leaves, claiming(1 - 2.0**-40)),
    (48, "polar", free_signs, claiming(2 - 2.0**-40)),
    (48, "polar", *entry(leaky_leaves, "statement.branches.0.layers.1.slope", -1.0)),
    # Children, trees and rows of another place.
    (48, "polar", *array(decided, **given([0, 0], [0, 1], LAST))),
    (48, "polar", *array(leaves, **given(*OPEN[::-1]))),
    (48, "polar", *array(decided, **nodes(2, 0, 0, 0))),
    (48, "polar", *array(free_signs, **nodes(2, 0, 0, 1, 0, 0))),
    # Edges as thick as the void child says, not thinner.
    (48, "polar", *array(thick, **given(*[[1, 0], [0, 0], [0, 0]], *[[0, 0], [1, 0.5], [0, 0.5]]))),
    (48, "polar", *array(void, **nodes(1, 2, 0, VOID, 0, *WITHIN))),
    (48, "majorant-column", *array(free_signs, column=np.array([-1.0]))),
]
