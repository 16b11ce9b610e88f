"""Certificates of factorizations written by hand, and what makes each break a rule.

Two entries of a matrix, half the squared error, the zero matrix: objective 1, and at A = −Y/2 a dual value of 3/4.
"""

import numpy as np

from .forging import array, claiming, entry, set_at
from .handmade import SIGNS, handmade, hexadecimal
from .packing import packed

DIAGONAL, ROW = np.array([[0.0, 0], [1, 1]]), np.array([[0.0, 0], [0, 1]])
DECAY = {"name": "weight-decay", "strengths": [3.0, 3.0], "bias": None}
COUNTED = DECAY | {"name": "counted-weight-decay"}
PRODUCT = {"name": "product-of-norms", "strength": 3.0, "powers": [1, 1]}
BRANCH, OUTSIDE = "statement.branches.0", "statement.outside.0"
LAYER = f"{BRANCH}.layers.0"
LARGEST = 2**31 - 1


def entries(places=DIAGONAL, shape=(2, 2), scale=1.0, arrays=None, **settings):
    """G = ±1 at (0, 0) and (1, 1)."""
    layers = [{"op": "entries", "shape": list(shape), "scale": scale}]
    factors = {f"F0.{axis}": np.zeros((1, extent)) for axis, extent in enumerate(shape)}
    chosen = {"layers": layers, "d": len(shape), "upper": 1.1, "penalty": DECAY} | settings
    return handmade(chosen.pop("proof", None), arrays={"X": places} | factors | (arrays or {}), **chosen)


def in_row(**settings):
    """Both in the first row: G = (1, −1) and |G| = √2."""
    return entries(ROW, **({"upper": 1.5} | settings))


def counted(**settings):
    """The first row counts twice, the second never: G = (1, −1)/√2 and |G| = 1; u = (1/2, 7) costs 3/4."""
    arrays = {"F0.0": np.array([[0.5, 7.0]])}
    return in_row(**({"penalty": COUNTED, "upper": 1.05, "arrays": arrays} | settings))


def hidden(**settings):
    """A hidden entry counts: G = (1, 0)/√2."""
    arrays = {"mask": np.array([[1], [0]], np.uint8), "A": np.array([[-1.0], [0]]), "F0.0": np.zeros((1, 2))}
    header, arrays = counted(arrays=arrays, upper=0.75, **settings)
    header["claim"]["lower"] = (0.25).hex()
    return header, arrays


def biased(features="axis-0", decay=0.0, lower=0.6, **settings):
    """A bias for every place of an axis; free ones of rows want A to sum to zero in the first row, as it does."""
    header, arrays = in_row(**settings)
    header["statement"]["outside"] = [hexadecimal({"features": features, "decay": decay})]
    header["claim"]["lower"] = lower.hex()
    dual = arrays.pop("A")
    return header, arrays | {"C0": np.zeros((2, 1)), "A": dual}


def counted_biases():
    """Targets 1, 1: the bias of the first row costs (1/2 + 1/2)²/(2 · 3 · 2) = 1/12, and 1/6 if it were not counted."""
    ones = np.ones((2, 1))
    return biased("counted-axis-0", 3.0, arrays={"Y": ones, "A": -ones})


def idle_bias():
    """The bias of a row without entries costs nothing where it is counted, and 147/2 elsewhere."""
    header, arrays = biased("counted-axis-0", 3.0)
    return header, arrays | {"C0": np.array([[0.0], [7.0]])}


def product(**settings):
    """λ |u||v|."""
    return entries(penalty=PRODUCT, **settings)


def negative():
    """γ = −2: |G| = 2."""
    return entries(scale=-2.0, upper=2.1)


def moved():
    """A fixed offset of −1/2: objective 5/4; worth nothing at A = −Y/2, since 1ᵀA = 0."""
    return entries(offset="array", arrays={"offset": np.full((2, 1), -0.5)})


def tested_at_random():
    """Of |G| = 1."""
    header, arrays = entries(proof={"edge": np.array([1.0])}, kind="randomized", upper=1.2)
    header["claim"]["failure_probability"] = (1e-12).hex()
    return header, arrays


def nothing():
    """A = 0, decay counted."""
    header, arrays = counted(kind="zero", upper=0)
    header["proofs"][0]["upper"] = (0.0).hex()
    header["claim"]["lower"] = (-1.0).hex()
    return header, arrays | {"A": np.zeros((2, 1))}


def empty(extent=64, kind="spectral"):
    """No terms of a larger matrix."""
    factors = {"F0.0": np.zeros((0, extent)), "F0.1": np.zeros((0, extent))}
    return entries(shape=(extent, extent), kind=kind, arrays=factors)


def tensor(**settings):
    """Three axes, and nothing to prove: A = 0."""
    places = np.array([[0.0, 0, 0], [1, 1, 1]])
    penalty = PRODUCT | {"powers": [1, 1, 1]}
    header, arrays = entries(places, (2, 2, 2), kind="zero", penalty=penalty, arrays={"A": 0 * SIGNS}, **settings)
    third = {"F0.2": np.zeros((1, 2))}
    header["claim"]["lower"], header["proofs"][0]["upper"] = (-1.0).hex(), (0.0).hex()
    dual = arrays.pop("A")
    return header, arrays | third | {"A": dual}


def unobserved(proof=None, **settings):
    """Zeros with weight 1 elsewhere: Z = 1/4 in the first row, of which one costs 1/32 of 31/16; B = 1/2 at (0, 1).

    G = [[1, −1/2], [0, −1]], whose norm is √(9/8 + √17/8); the dual value is 3/4 − 1/32.
    """
    factors = {"F0.0": np.array([[0.5, 0]]), "F0.1": np.array([[0.5, 0.5]])}
    made = entries(proof=proof, arrays=factors | settings.pop("arrays", {}), **({"upper": 1.3} | settings))
    header, arrays = made
    header["statement"]["loss"]["unobserved_weight"] = (1.0).hex()
    return header, arrays | {"A.0": np.array([[0.5, 0]]), "A.1": np.array([[0, 1.0]])}


def unobserved_at_random():
    """Of |G| = 1.2807…; the arrays of the proof come last."""
    header, arrays = unobserved({"edge": np.array([1.282])}, kind="randomized", upper=1.4)
    header["claim"]["failure_probability"] = (1e-12).hex()
    return header, arrays | {"P0.edge": arrays.pop("P0.edge")}


def unobserved_nothing():
    """A = 0 and B = 0 of one factor that is not 0."""
    header, arrays = unobserved(kind="zero")
    header["proofs"][0]["upper"], header["claim"]["lower"] = (0.0).hex(), (-1.0).hex()
    return header, arrays | {"A": 0 * SIGNS, "A.0": np.zeros((1, 2))}


def unobserved_of(make):
    """Beside what it does not serve."""

    def forge(_):
        header, arrays = make()
        header["statement"]["loss"]["unobserved_weight"] = (1.0).hex()
        dual = {"A.0": np.zeros((1, 2)), "A.1": np.zeros((1, 2))} if "F0.1" in arrays and "X" in arrays else {}
        return packed(header, arrays | dual)

    return forge


def large(extent, kind="spectral"):
    def forge(_):
        return packed(*empty(extent, kind))

    return forge


def two_outputs(made):
    header, arrays = made
    return packed(header, arrays | {"Y": np.zeros((2, 2)), "A": np.zeros((2, 2))})


def two_branches(made):
    header, arrays = made
    header["statement"]["branches"] *= 2
    header["proofs"] *= 2
    dual = arrays.pop("A")
    return packed(header, arrays | {"F1.0": arrays["F0.0"], "F1.1": arrays["F0.1"], "A": dual})


def as_spectral(made):
    set_at(made[0], "proofs.0.kind", "spectral")
    return packed(*made)


def loose():
    """Far below the dual value at any s up to 3."""
    header, arrays = entries()
    header["claim"]["lower"] = (-9.0).hex()
    return header, arrays


def as_cones(made):
    """Cones of rows, which entries do not have."""
    made[0]["proofs"][0] |= {"kind": "cone-tree", "steps": ["project"]}
    return packed(*made)


def decayed(made):
    set_at(made[0], f"{BRANCH}.penalty", DECAY | {"strengths": [3.0] * 3})
    return packed(*made)


BASES = [
    *(entries, in_row, counted, hidden, biased, counted_biases, idle_bias, product, negative),
    *(moved, tested_at_random, nothing, empty, tensor),
    *(unobserved, unobserved_at_random, unobserved_nothing),
]
UNOBSERVED = "statement.loss.unobserved_weight"
TWICE = np.array([[1.0, 1], [1, 1]])
RULES = [
    (8, "size-limit", entries, large(2**14 + 1)),
    (8, "size-limit", entries, large(2**28 + 1, "zero")),
    (9, "schema", *entry(entries, f"{LAYER}.shape", [0, 2])),
    (9, "schema", *entry(entries, f"{LAYER}.scale", 1)),
    (9, "schema", *entry(entries, f"{BRANCH}.bias", "free")),
    (9, "schema", *entry(entries, f"{BRANCH}.penalty.strengths", [3.0])),
    (9, "schema", *entry(entries, f"{BRANCH}.penalty.bias", 3.0)),
    (9, "schema", *entry(entries, f"{BRANCH}.penalty.name", "decay")),
    (9, "schema", *entry(handmade, f"{BRANCH}.penalty.name", "counted-weight-decay")),
    (9, "schema", *entry(biased, f"{OUTSIDE}.features", "inputs")),
    (9, "schema", *entry(biased, f"{OUTSIDE}.features", "axis-2")),
    (9, "schema", *entry(lambda: handmade(output_bias="free"), f"{OUTSIDE}.features", "axis-0")),
    (10, "shape", *entry(entries, f"{LAYER}.shape", [2, 3])),
    (10, "shape", entries, two_outputs),
    (10, "shape", *array(biased, C0=np.zeros((1, 1)))),
    (10, "shape", *entry(entries, "statement.offset", "inputs")),
    (13, "layers", *entry(entries, f"{LAYER}.shape", [2, 2, 2])),
    (13, "layers", *entry(tensor, f"{LAYER}.shape", [LARGEST] * 3)),
    (13, "layers", entries, two_branches),
    (14, "degree", *entry(product, f"{BRANCH}.penalty.powers", [2, 1])),
    (14, "degree", tensor, decayed),
    (14, "strength", *entry(product, f"{BRANCH}.penalty.strength", 0.0)),
    (14, "strength", *entry(counted, f"{BRANCH}.penalty.strengths", [3.0, -3.0])),
    (14, "strength", *entry(biased, f"{OUTSIDE}.decay", -1.0)),
    (49, "entries", *array(entries, X=np.array([[0.0, 0], [1, 2]]))),
    (49, "entries", *array(entries, X=np.array([[0.0, 0], [-1, 1]]))),
    (49, "entries", *array(entries, X=np.array([[0.0, 0], [1, 0.5]]))),
    (49, "entries", *array(entries, X=TWICE)),
    (17, "objective", *entry(lambda: counted(upper=1.5), f"{BRANCH}.penalty.name", "weight-decay")),
    (17, "objective", *entry(idle_bias, f"{OUTSIDE}.features", "axis-0")),
    (17, "objective", *array(entries, **{"F0.0": np.array([[0.9, 0]])})),
    (17, "objective", *array(moved, offset=np.full((2, 1), 2.0))),
    (22, "dual-value", *array(moved, offset=np.array([[2.0], [0]]))),
    (19, "dual-domain", *array(hidden, A=np.array([[-1.0], [2.0**-1074]]))),
    (21, "dual-group-sums", *entry(biased, f"{OUTSIDE}.features", "axis-1")),
    (21, "dual-group-sums", *entry(biased, f"{OUTSIDE}.features", "counted-axis-1")),
    (21, "dual-group-sums", *array(biased, A=np.array([[-1.0], [1 + 2.0**-52]]))),
    (22, "dual-value", *entry(counted_biases, f"{OUTSIDE}.features", "axis-0")),
    (22, "dual-value", *entry(lambda: biased("axis-1", 3.0), f"{OUTSIDE}.decay", 1.0)),
    (24, "polar-scale", *entry(entries, f"{BRANCH}.penalty.strengths", [1.0, 0.25])),
    (26, "polar", *entry(entries, "proofs.0.kind", "zero")),
    (26, "proof-kind", *entry(entries, "proofs.0.kind", "norm-products")),
    (26, "proof-kind", tensor, as_spectral),
    (26, "proof-kind", entries, as_cones),
    (10, "shape", *array(entries, A=None)),
    (24, "polar-scale", *entry(entries, f"{BRANCH}.penalty.strengths", [2.0**-1000, 2.0**-1000])),
    (24, "polar-scale", *entry(entries, f"{BRANCH}.penalty.strengths", [2.0**-1074, 3.0])),
    (24, "polar-scale", *entry(loose, "dual.scale", 2.8)),
    (18, "dual-scale", *entry(entries, "dual.scale", -0.5)),
    (27, "polar", entries, claiming(1 - 2.0**-40)),
    (27, "polar", in_row, claiming(2**0.5 - 2.0**-40)),
    (27, "polar", counted, claiming(1 - 2.0**-40)),
    (27, "polar", hidden, claiming(0.5**0.5 - 2.0**-40)),
    (27, "polar", *entry(lambda: counted(arrays={}), f"{BRANCH}.penalty.name", "weight-decay")),
    (27, "polar", *entry(entries, f"{LAYER}.scale", -1.2)),
    (27, "polar", *array(entries, X=ROW)),
    (42, "polar", tested_at_random, claiming(0.99, edge=np.array([0.98]))),
    (42, "randomized-test", *array(tested_at_random, edge=np.array([1.3]))),
    (9, "schema", *entry(unobserved, UNOBSERVED, None)),
    (9, "schema", *entry(entries, UNOBSERVED, 1)),
    (10, "shape", *entry(entries, UNOBSERVED, 1.0)),
    (10, "shape", *array(unobserved, **{"A.1": np.zeros((2, 2))})),
    (8, "size-limit", *array(unobserved, **{"A.0": np.zeros((2**14 + 1, 2)), "A.1": np.zeros((2**14 + 1, 2))})),
    (8, "size-limit", *array(unobserved, **{"F0.0": np.zeros((2**14 + 1, 2)), "F0.1": np.zeros((2**14 + 1, 2))})),
    (57, "unobserved", *entry(unobserved, UNOBSERVED, 0.0)),
    (57, "unobserved", *entry(unobserved, UNOBSERVED, -1.0)),
    (57, "unobserved", *entry(unobserved, "statement.loss.name", "huber")),
    (57, "unobserved", *entry(unobserved, "statement.loss.reduction", "mean")),
    (57, "unobserved", *entry(unobserved, f"{LAYER}.scale", 2.0)),
    (57, "unobserved", *entry(unobserved, f"{BRANCH}.penalty.name", "counted-weight-decay")),
    (57, "unobserved", entries, unobserved_of(biased)),
    (57, "unobserved", entries, unobserved_of(moved)),
    (57, "unobserved", entries, unobserved_of(tensor)),
    (57, "unobserved", *entry(handmade, UNOBSERVED, 1.0)),
    (57, "objective", *entry(unobserved, "claim.upper", 31 / 16 - 2.0**-40)),
    (57, "objective", *entry(unobserved, UNOBSERVED, 4.0)),
    (57, "dual-value", *entry(unobserved, "claim.lower", 23 / 32 + 2.0**-40)),
    (57, "polar", unobserved, claiming((9 / 8 + 17**0.5 / 8) ** 0.5 - 2.0**-40)),
    (57, "polar", unobserved_at_random, claiming(1.27, edge=np.array([1.26]))),
    (57, "polar", *array(unobserved_nothing, **{"A.0": np.array([[2.0**-200, 0.0]])})),
]
