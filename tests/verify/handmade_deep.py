"""Certificates of three layers written by hand, and forgeries of them.

φ = w₂ σ(w₁ σ(x w₀)) on x = ±1 with ReLU, S = ±1 of −A: P = 1, attained by units that one sample passes. For q = (1, −1)
and g = (0, −1): a = (1, 0), so that w = (1/4, 0) whatever p, and l = (1/2, 0); V(t) = |t₀|/2 + |t₀|/2.
"""

from __future__ import annotations

import copy

import numpy as np

from .handmade import LINEAR, handmade, leaves
from .packing import packed

RELU = {"op": "relu"}
PRODUCT = {"name": "product-of-norms", "strength": 3.0, "powers": [1, 1, 1]}
LEANING = np.array([[0.0], [-1.0]])
OVERFLOWING = np.array([[[2.0**-1074], [2.0**-1074]]])


def deep(base, **settings):
    """Header and arrays for an array of each end beside the multipliers."""
    ends = {}
    for name, slopes in (("plus", LEANING), ("minus", LEANING[::-1].copy())):
        own = {"curvatures-0": (slopes[None] + 1) / 4, "slopes-0": slopes} | base
        ends |= {f"{name}.{key}": values for key, values in own.items()}
    layers = [LINEAR, RELU, LINEAR, RELU, LINEAR]
    given = {"layers": layers, "penalty": PRODUCT, "kind": "norm-products", "upper": 1.25} | settings
    weights = {"F0.1": np.zeros((1, 6)), "F0.0": np.zeros((1, 2)), "F0.2": np.zeros((1, 3))}
    header, arrays = handmade(ends, arrays=weights, **given)
    header["proofs"][0]["steps"] = ["peel", *header["proofs"][0]["steps"]]
    return header, arrays


def deep_norm_products():
    return deep({}, upper=1 + 2.0**-20)


def deep_cone_tree():
    """Both orthants of one dimension, from both generators: the leaf of t₀ > 0 proves 1."""
    return deep({"frame": np.eye(1), "rows": np.array([[1.0], [-1.0]])} | leaves(2, 1), kind="cone-tree")


def changed(base, **arrays):
    """A base, and what it becomes with other arrays, by names with underscores for dots and dashes."""

    def forge(made):
        header, found = made
        names = {name.replace(".", "_").replace("-", "_"): name for name in found}
        return packed(copy.deepcopy(header), found | {names[key]: values for key, values in arrays.items()})

    return base, forge


def swapped_ends(made):
    header, arrays = made
    swap = {"P0.plus": "P0.minus", "P0.minus": "P0.plus"}
    other = {
        name: arrays[next((swap[p] + name[len(p) :] for p in swap if name.startswith(p)), name)] for name in arrays
    }
    return packed(header, other)


def with_layers(*layers):
    def forge(made):
        header, arrays = made
        header["statement"]["branches"][0]["layers"] = list(layers)
        return packed(header, arrays)

    return forge


def with_steps(*steps):
    def forge(made):
        header, arrays = made
        header["proofs"][0]["steps"] = list(steps)
        return packed(header, arrays)

    return forge


BASES = [deep_norm_products, deep_cone_tree]
RULES = [
    (64, "peel-curvatures", *changed(deep_norm_products, P0_plus_curvatures_0=np.array([[[0.25], [-(2.0**-1074)]]]))),
    (64, "polar", deep_norm_products, swapped_ends),
    (64, "polar", *changed(deep_norm_products, P0_minus_slopes_0=LEANING)),
    (64, "polar", *changed(deep_cone_tree, P0_plus_slopes_0=np.array([[-1.0], [-1.0]]))),
    (64, "polar", *changed(deep_cone_tree, P0_plus_frame=np.full((1, 1), 1.3))),
    # 1/p overflows at the second end: NaN must not hide behind the first.
    (64, "polar", *changed(deep_cone_tree, P0_minus_slopes_0=LEANING, P0_minus_curvatures_0=OVERFLOWING)),
    (64, "polar", deep_norm_products, with_layers(LINEAR, {"op": "abs"}, LINEAR, {"op": "abs"}, LINEAR)),
]
# What is no certificate.
REFUSED = [
    ("shape", deep_norm_products, with_layers(LINEAR, RELU, LINEAR, LINEAR)),
    ("shape", *changed(deep_norm_products, F0_1=np.zeros((1, 5)))),
    ("shape", *changed(deep_norm_products, P0_minus_slopes_0=np.zeros((3, 1)))),
    ("schema", deep_norm_products, with_steps()),
    ("schema", deep_norm_products, with_steps("peel", "peel")),
    ("schema", deep_norm_products, with_layers(LINEAR, RELU, LINEAR)),
]
