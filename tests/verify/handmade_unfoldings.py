"""Certificates of tensors written by hand, and what makes each break rule 55 or 56.

The product of complex numbers has |x y| = |x||y|: with P (2, 4) the product of x ⊗ y, G(x, y, z) = <x y, z>/2 has norm
1/2, and unfoldings of norm 1/√2. For rows x ⊗ y G = Pᵀ/2 and N = (I − PᵀP)/2, c = 1/2, so that the Schur complement of
1/2 I is 1/2 I − N − PᵀP/2 = 0. G(x, y, z, w) = <x y, z w>/2 is PᵀP/2, of norm 1, beside 1/2 I − N = PᵀP/2.
"""

import numpy as np

from .forging import array, claiming, entry, set_at
from .handmade import handmade
from .packing import packed

PRODUCT = np.array([[1.0, 0, 0, -1], [0, 1, 1, 0]])
THREE = (PRODUCT.T / 2).reshape(2, 2, 2)
FOUR = (PRODUCT.T @ PRODUCT / 2).reshape(2, 2, 2, 2)
HALF = np.full((1, 1), 0.5)
KIND = "proofs.0.kind"


def certificate(tensor, proof, **settings):
    """Of half the squared error at the zero tensor, Y = G and A = −Y."""
    places, order = np.argwhere(tensor), tensor.ndim
    values = tensor[tensor != 0][:, None]
    layers = [{"op": "entries", "shape": list(tensor.shape), "scale": 1.0}]
    width = settings.pop("width", 1)
    factors = {f"F0.{axis}": np.zeros((width, extent)) for axis, extent in enumerate(tensor.shape)}
    penalty = {"name": "product-of-norms", "strength": 3.0, "powers": [1] * order}
    arrays = {"X": places.astype(float), "Y": values, "A": -values} | factors
    header, found = handmade(proof, layers=layers, d=order, penalty=penalty, arrays=arrays, **settings)
    order_of = ["X", "Y", *factors, "A"]
    return header, {n: (arrays | found)[n] for n in [*order_of, *(n for n in found if n.startswith("P0."))]}


def sides(*rows):
    return np.array(rows, np.uint8)


def unfolding(**settings):
    return certificate(THREE, {"sides": sides(0, 1, 0)}, **({"kind": "unfolding", "upper": 0.71} | settings))


def wide_unfolding():
    """Three axes of rows."""
    return certificate(FOUR, {"sides": sides(1, 0, 1, 1)}, kind="unfolding", upper=1.01)


def symmetric(**settings):
    proof = {"sides": sides(1, 1, 0), "row_multipliers": HALF}
    return certificate(THREE, proof, **({"kind": "symmetric-unfolding", "upper": 0.51} | settings))


def four_axes():
    proof = {"sides": sides(1, 1, 0, 0), "row_multipliers": HALF, "column_multipliers": HALF}
    return certificate(FOUR, proof, kind="symmetric-unfolding", upper=0.51)


def crossed():
    """The same with the second axis for the third: multipliers of axes 0 and 2 beside those of 1 and 3."""
    proof = {"sides": sides(1, 0, 1, 0), "row_multipliers": HALF, "column_multipliers": HALF}
    return certificate(FOUR.transpose(0, 2, 1, 3), proof, kind="symmetric-unfolding", upper=0.51)


def uneven():
    """Extents 2 and 3, y in the last two places: the pair (1, 2) is the last of three."""
    tensor = np.zeros((2, 3, 2))
    tensor[:, 1:] = THREE
    proof = {"sides": sides(1, 1, 0), "row_multipliers": np.array([[0.0, 0, 0.5]])}
    return certificate(tensor, proof, kind="symmetric-unfolding", upper=0.51)


def swapped():
    """The same with the axes of rows the other way around."""
    tensor = np.zeros((3, 2, 2))
    tensor[1:] = THREE
    proof = {"sides": sides(1, 1, 0), "row_multipliers": np.array([[0.0], [0], [0.5]])}
    return certificate(tensor, proof, kind="symmetric-unfolding", upper=0.51)


def flat():
    """An axis of extent 1 has no pairs."""
    proof = {"sides": sides(1, 1, 0), "row_multipliers": np.zeros((0, 1))}
    header, arrays = certificate(THREE[:1], proof, kind="symmetric-unfolding", upper=0.51)
    set_at(header, "claim.lower", 0.125)
    return header, arrays


def large(kind, *shape):
    """A tensor too large for the rule, of one entry and no terms."""

    def forge(_):
        order = len(shape)
        header, arrays = certificate(np.ones((1,) * order), {"sides": sides(1, 1, *[0] * (order - 2))}, kind=kind)
        set_at(header, "statement.branches.0.layers.0.shape", list(shape))
        more = {"row_multipliers": np.zeros((0, 0))} | ({"column_multipliers": np.zeros((0, 0))} if order > 3 else {})
        proof = {f"P0.{n}": v for n, v in more.items()} if kind == "symmetric-unfolding" else {}
        factors = {f"F0.{axis}": np.zeros((0, extent)) for axis, extent in enumerate(shape)}
        return packed(header, arrays | factors | proof)

    return forge


def of_matrix(kind, **proof):
    """A proof of tensors for a matrix."""

    def forge(_):
        header, arrays = certificate(np.eye(2) / 2, {"sides": sides(1, 0), **proof}, kind=kind, upper=0.51)
        set_at(header, "claim.lower", 0.125)
        return packed(header, arrays)

    return forge


def as_spectral(made):
    header, arrays = made
    set_at(header, KIND, "spectral")
    return packed(header, {name: values for name, values in arrays.items() if not name.startswith("P0.")})


def one_more(made):
    """A third axis of rows."""
    header, arrays = made
    del arrays["P0.column_multipliers"]
    return packed(header, arrays | {"P0.sides": sides(1, 1, 1, 0)})


BASES = [unfolding, wide_unfolding, symmetric, four_axes, crossed, uneven, swapped, flat]
ZERO = np.zeros((1, 1))
# All in one row of the second axis, which makes the norm 1.
ONE_ROW = np.array([[0.0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1]])
RULES = [
    (10, "shape", *array(unfolding, sides=sides(0, 0, 0))),
    (10, "shape", *array(unfolding, sides=sides(1, 1, 1))),
    (10, "shape", *array(unfolding, sides=sides(0, 2, 0))),
    (10, "shape", *array(unfolding, sides=sides(0, 1))),
    (10, "shape", *array(symmetric, sides=sides(1, 0, 0))),
    (10, "shape", four_axes, one_more),
    (10, "shape", *array(symmetric, row_multipliers=np.zeros((1, 3)))),
    (10, "shape", *array(uneven, row_multipliers=np.zeros((3, 1)))),
    (10, "shape", *array(four_axes, column_multipliers=None)),
    (11, "size-limit", unfolding, large("unfolding", 129, 128, 129, 128)),
    (11, "size-limit", symmetric, large("symmetric-unfolding", 64, 63, 65)),
    (26, "proof-kind", unfolding, of_matrix("unfolding")),
    (26, "proof-kind", unfolding, as_spectral),
    (55, "polar", unfolding, claiming(0.5**0.5 - 2.0**-40)),
    (55, "polar", wide_unfolding, claiming(1 - 2.0**-40)),
    (55, "polar", *array(unfolding, X=ONE_ROW)),
    (56, "polar", symmetric, claiming(0.5 - 2.0**-40)),
    (56, "polar", four_axes, claiming(0.5 - 2.0**-40)),
    (56, "polar", *array(symmetric, row_multipliers=ZERO)),
    (56, "polar", *array(symmetric, row_multipliers=-HALF)),
    (56, "polar", *array(symmetric, row_multipliers=HALF + 0.25)),
    (56, "polar", *array(symmetric, sides=sides(1, 0, 1))),
    (56, "polar", *array(four_axes, column_multipliers=ZERO)),
    (56, "polar", *array(four_axes, row_multipliers=ZERO)),
    (56, "polar", *array(four_axes, sides=sides(0, 1, 1, 0))),
    (56, "polar", *array(crossed, sides=sides(1, 1, 0, 0))),
    (56, "polar", *array(uneven, row_multipliers=np.array([[0.5, 0, 0]]))),
    (56, "polar", *array(swapped, row_multipliers=np.array([[0.5], [0], [0]]))),
    (56, "polar", flat, claiming(0.5 - 2.0**-40)),
    (56, "polar", *entry(symmetric, "statement.branches.0.layers.0.scale", -1.1)),
]
