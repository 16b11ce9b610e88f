"""Certificates of tied weights written by hand, and what makes each break a rule.

Inputs and targets are those of `handmade`, where A = −Y: then M = sym(Hᵀ Y) = 2 for one input.
"""

import numpy as np

from .forging import array, claiming, entry
from .handmade import LINEAR, handmade, hexadecimal
from .packing import packed

TIED = [LINEAR, {"op": "transposed"}]
BRANCH = "statement.branches.0"


def decay(strength, bias=None):
    return {"name": "weight-decay", "strengths": [strength], "bias": bias}


def tied(**settings):
    """M = 2, λ = 6/2."""
    given = {"layers": TIED, "kind": "eigenvalue", "penalty": decay(6.0), "upper": 2.25}
    return without_second(handmade(**(given | settings)))


def without_second(made):
    header, arrays = made
    return header, {name: values for name, values in arrays.items() if name != "F0.1"}


def two_inputs(**settings):
    """X = I and −A = [[1, 4], [0, −3]], M = [[1, 2], [2, −3]]: eigenvalues −1 ± √8; the norm of −A is 5.06…."""
    arrays = {"X": np.eye(2), "Y": np.zeros((2, 2)), "A": np.array([[-1.0, -4], [0, 3]])}
    header, arrays = tied(**({"d": 2, "c": 2, "arrays": arrays, "upper": 1.9} | settings))
    header["claim"] |= hexadecimal({"upper": 1.0, "lower": -4.0})
    return header, arrays


def negative():
    """−A = −I: uᵀM u is not positive, U = 0 is as little as there is room for."""
    return two_inputs(arrays={"X": np.eye(2), "Y": np.zeros((2, 2)), "A": np.eye(2)}, upper=1e-9)


def biased(**settings):
    """A penalized bias of decay 3/2 reads √(6/(3/2)) = 2: A = (−3/2, 1/2), M = [[2, −(−2)/2], [1, 0]], 1 + √2."""
    arrays = {"A": np.array([[-1.5], [0.5]])}
    chosen = {"penalty": decay(6.0, 1.5), "arrays": arrays, "hidden_bias": "penalized", "upper": 2.45}
    return tied(**(chosen | settings))


def of_weights(made):
    """The network u = 1, b = 1: outputs (1 + 1) 1 and (−1 + 1) 1, penalty (6 + 1.5)/2; objective 1/2 + 1/2 + 3.75."""
    header, arrays = made
    header["claim"]["upper"] = (4.7).hex()
    return packed(header, arrays | {"F0.0": np.ones((1, 1)), "F0.bias": np.ones(1)})


def with_second(made):
    header, arrays = made
    dual = arrays.pop("A")
    return packed(header, arrays | {"F0.1": arrays["F0.0"], "A": dual})


def more_outputs(made):
    header, arrays = made
    return packed(header, arrays | {name: np.pad(arrays[name], ((0, 0), (0, 1))) for name in ("Y", "A")})


BASES = [tied, two_inputs, negative, biased]
RULES = [
    (9, "schema", *entry(tied, f"{BRANCH}.penalty.strengths", [6.0, 6.0])),
    (9, "schema", *entry(tied, f"{BRANCH}.penalty", {"name": "product-of-norms", "strength": 3.0, "powers": [1, 1]})),
    (9, "schema", *entry(biased, f"{BRANCH}.penalty.bias", None)),
    (10, "shape", tied, with_second),
    (10, "shape", tied, more_outputs),
    (13, "layers", *entry(tied, f"{BRANCH}.layers", TIED[::-1])),
    (13, "layers", *entry(tied, f"{BRANCH}.layers", [LINEAR, {"op": "relu"}, TIED[1]])),
    (13, "layers", *entry(tied, f"{BRANCH}.layers", [*TIED, LINEAR])),
    (14, "strength", *entry(tied, f"{BRANCH}.penalty.strengths", [-6.0])),
    (14, "strength", *entry(biased, f"{BRANCH}.penalty.bias", 0.0)),
    (17, "objective", biased, of_weights),
    (23, "proof-kind", *entry(tied, "proofs.0.kind", "spectral")),
    (24, "polar-scale", *entry(tied, "dual.scale", 1.5)),
    (24, "polar-scale", *entry(tied, f"{BRANCH}.penalty.strengths", [2.0])),
    (58, "polar", tied, claiming(1.9)),
    (58, "polar", two_inputs, claiming(1.8)),
    (58, "polar", *array(two_inputs, A=np.array([[1.0, 4], [0, -3]]))),
    (58, "polar", *array(negative, A=-np.eye(2))),
    (58, "polar", biased, claiming(2.35)),
]
