"""Doubly nonnegative certificates written by hand, and what makes each break rule 47.

With d = g₁ − g₂, s = g₁ + g₂, C = −δ I, and p beside the diagonals of P and M, the two samples ±1 of `handmade` have
    α v² + β u² − u v − d v + (δ + p) d² + (δ − p) (s² − u²),
nonnegative where δ ≥ p and (α − 1/(4 (δ + p))) (β − δ + p) ≥ 1/4. The polar is 1; as p grows, so little is proven.
"""

import numpy as np

from .forging import array, claiming, entry
from .handmade import LINEAR, handmade
from .packing import packed

SWAP, FLAT = np.array([[0.0, 1], [1, 0]]), np.eye(2)
DELTA = 2 + 2.0**-5
MOST_ROWS, MOST_SIDE = 2**13, 2**14


def products(**settings):
    """δ − p = 1/32: (α − 0.063) (β − 0.032) ≥ 1/4."""
    return _certificate(_arrays(levels=(0.57, 0.54)), **({"upper": 1.12} | settings))


def two_outputs():
    """The second is zero, and all of v₂ is α v₂²; no output has a sign."""
    arrays = {name: values[:1] for name, values in _arrays(levels=(0.57, 0.54)).items()}
    return _certificate(_several(arrays, 0), c=2, upper=1.12)


def signed_outputs():
    """Both have signs: four patterns, of which two and two are alike, and h of the second of 2⁻⁶.

    It takes h v₂ Σ (z₊ + z₋) = 2 h v₂ s away, so that s² / 32 + α v₂² − 2⁻⁵ v₂ s needs α ≥ 2⁻⁷.
    """
    arrays = {name: np.concatenate([values] * 2) for name, values in _arrays(levels=(0.57, 0.54)).items()}
    arrays = _several(arrays, 2)
    arrays["heights"][..., 1] = 2.0**-6
    return _certificate(arrays, c=2, upper=1.12)


def one_signed_output():
    """As `one_row` beside a second output that is zero and has no sign: of the lower sign, h₊ = 1 leaves

    α v² + β u² + 2 δ (g² − u²/4), nonnegative for β ≥ 1/4 and δ = 1/2.
    """
    arrays = _arrays(levels=(0.52, 0.51), off=0.0) | {"cross": -np.tile(np.diag([0.5, 64.0]), (2, 1, 1))}
    arrays = _several(arrays, 1)
    arrays["heights"][2, 0], arrays["levels"][1] = 1, (0.01, 0.26)
    return _certificate(arrays, arrays={"X": np.array([[1.0], [0]])}, c=2, upper=1.05)


def _several(arrays, split):
    """Without tilts, with heights of so many outputs."""
    heights = np.zeros((2 * len(arrays["both"]), 2, split))
    return {name: arrays[name] for name in ("both", "cross", "none")} | {"heights": heights, "levels": arrays["levels"]}


def leaky_products():
    """Slope −1/2: −u v/2 − 3 d v/2 in place of −u v − d v, (α − 0.14) (β − 0.032) ≥ 1/16; the polar is 1/2."""
    layers = [LINEAR, {"op": "leaky_relu", "slope": -0.5}, LINEAR]
    return _certificate(_arrays(levels=(0.4, 0.3)), layers=layers, upper=0.72)


def free_products():
    """A free bias: X̃ = (x, 1), ρ = 2, p = 0: (α − 1/(4 δ)) (β − δ) ≥ 1/4; the polar is 2."""
    arrays = _arrays(levels=(1.43, 0.71), off=0.0, delta=0.35) | {"center": np.zeros(1), "column": np.ones(2)}
    return _certificate(arrays, hidden_bias="free", upper=2.9)


def one_row():
    """Samples 1 and 0: α v² + β u² ∓ (u/2 + g) v + 2 δ (g² − u²/4), but for 2⁻⁹ v² of the second.

    The upper sign as before, (α − 1/4) (β − 1/4) ≥ 1/16 for δ = 1/2. Of the lower one, h₊ = 1 and W₊ = −1 leave
    α v² + β u² + (g + u/2)².
    """
    arrays = _arrays(levels=(0.52, 0.51), off=0.0) | {"cross": -np.tile(np.diag([0.5, 64.0]), (2, 1, 1))}
    arrays["levels"][1] = 0.01
    arrays["heights"][2, 0], arrays["tilts"][2, 0] = 1.01, -1
    return _certificate(arrays, arrays={"X": np.array([[1.0], [0]])}, upper=1.05)


def _arrays(levels, off=2.0, delta=DELTA):
    """Of both signs, alike."""
    both, cross = np.tile(off * SWAP, (2, 1, 1)), np.tile(-delta * FLAT, (2, 1, 1))
    slacks = {"heights": np.zeros((4, 2, 1)), "tilts": np.zeros((4, 2, 1))}
    return {"both": both, "cross": cross, "none": both.copy()} | slacks | {"levels": np.tile(levels, (2, 1))}


def _certificate(proof, **settings):
    return handmade(proof, **({"family": "relu", "kind": "doubly-nonnegative"} | settings))


def many_rows(made):
    header, arrays = made
    return packed(header, arrays | {name: np.zeros((MOST_ROWS + 1, 1)) for name in ("X", "Y", "A")})


def many_outputs(made):
    header, arrays = made
    wide = {name: np.zeros((len(arrays[name]), MOST_SIDE)) for name in ("Y", "A", "F0.1")}
    return packed(header, arrays | wide)


def swapped_signs(made):
    """The multipliers of each sign for the other."""
    header, arrays = made
    other = {name: values[::-1] for name, values in arrays.items() if name.startswith("P0.")}
    halves = {name: np.roll(arrays[name], 2, 0) for name in ("P0.heights", "P0.tilts") if name in arrays}
    return packed(header, arrays | other | halves)


def patterns(made, count, split):
    """Another number of patterns."""
    header, arrays = made
    given = {f"P0.{name}": np.resize(arrays[f"P0.{name}"], (count, 2, 2)) for name in ("both", "cross", "none")}
    levels = {"P0.heights": np.zeros((2 * count, 2, split)), "P0.levels": np.tile([0.57, 0.54], (count, 1))}
    return packed(header, arrays | given | levels)


def less(upper, levels, **changes):
    """A false claim that would follow from the changes, in place of all signs."""
    arrays = {name: np.tile(values, (2, 1, 1)) for name, values in changes.items()}
    return claiming(upper, levels=np.tile(levels, (2, 1)), **arrays)


def first(upper, levels, delta, **changes):
    """A false claim that would follow from the changes, of z₊ of the first row and the upper sign."""

    def forge(made):
        header, arrays = made
        for name, value in changes.items():
            arrays[f"P0.{name}"][0, 0] = value
        arrays["P0.cross"][0, 0, 0], arrays["P0.levels"][0] = -delta, levels
        return claiming(upper)((header, arrays))

    return forge


BASES = [products, two_outputs, signed_outputs, one_signed_output, leaky_products, free_products, one_row]
HALF = 2 * SWAP - 0.5 * FLAT
LESS_DELTA = -(DELTA - 0.25) * FLAT
RULES = [
    (11, "size-limit", products, many_rows),
    (11, "size-limit", two_outputs, many_outputs),
    (10, "shape", products, lambda made: patterns(made, 1, 0)),
    (10, "shape", two_outputs, lambda made: patterns(made, 3, 1)),
    (10, "shape", two_outputs, lambda made: patterns(made, 8, 3)),
    (47, "product-levels", *array(products, levels=np.array([[0.57, 0.54], [0.57, -(2.0**-1074)]]))),
    (47, "product-signs", products, less(0.63, (0.57, 0.05), both=HALF, cross=LESS_DELTA)),
    (47, "product-signs", products, less(0.7, (0.57, 0.12), none=HALF, cross=LESS_DELTA)),
    (47, "product-signs", products, less(0.62, (0.58, 0.03), cross=LESS_DELTA - 0.25 * SWAP)),
    (47, "product-tilts", one_row, first(0.6, (0.39, 0.2), 0.5, tilts=-0.5)),
    (47, "product-tilts", one_row, first(0.53, (0.26, 0.26), 0.25, heights=-0.5)),
    (47, "product-tilts", one_signed_output, first(0.53, (0.26, 0.26), 0.25, heights=-0.5)),
    (47, "polar", products, claiming(1.1)),
    (47, "polar", products, less(0.96, (0.5, 0.45))),
    (47, "polar", *array(products, cross=np.zeros((2, 2, 2)))),
    (47, "polar", *array(products, both=np.zeros((2, 2, 2)))),
    (47, "polar", *array(two_outputs, none=np.zeros((1, 2, 2)))),
    (47, "polar", two_outputs, claiming(0.96, levels=np.array([[0.5, 0.45]]))),
    (47, "polar", *entry(leaky_products, "statement.branches.0.layers.1.slope", 0.5)),
    (47, "polar", one_row, swapped_signs),
    (47, "polar", one_signed_output, swapped_signs),
    (47, "polar", *array(one_signed_output, heights=np.zeros((4, 2, 1)))),
    (47, "polar", *array(one_row, heights=np.zeros((4, 2, 1)), tilts=np.zeros((4, 2, 1)))),
    (47, "polar", free_products, claiming(2.5)),
    (47, "majorant-column", *array(free_products, column=np.array([1, -1.0]))),
]
