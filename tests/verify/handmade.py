"""Certificates written by hand, without the prover: one valid one of every kind, small enough to check on paper.

Two samples x = 1, −1 with targets 1, −1 (and columns of zeros where a rule needs more inputs or outputs), half the
squared error, the zero network: objective 1. At A = −Y/2 the dual value is 3/4; Ω°(Y) is 2 for linear subnetworks,
1 for ReLU, 2 for ReLU with a free bias and 0 for squares.
"""

from __future__ import annotations

import copy

import numpy as np

from .cases import packed

SIGNS = np.array([[1.0], [-1.0]])
SECTIONS = {
    "family": "problem",
    "loss": "problem",
    "reduction": "problem",
    "penalty": "problem",
    "powers": "problem",
    "hidden_bias": "problem",
    "output_bias": "problem",
    "skip": "problem",
    "kind": "proof",
}
HEADER = {
    "schema": "certify.certificate/1",
    "claim": {"upper": "2", "lower": "0.25", "widths": "all", "failure_probability": None},
    "problem": {
        "family": "linear",
        "loss": "mse",
        "reduction": "sum",
        "scale": "0.5",
        "penalty": "weight-decay",
        "strength": "3",
        "lambda": "3",
        "powers": [],
        "hidden_bias": "absent",
        "output_bias": "absent",
        "skip": "absent",
        "sample_weights": False,
        "mask": False,
        "features": None,
        "tolerance_relative": "0.9",
        "tolerance_absolute": "0",
    },
    "dual": {"scale": "0.5"},
    "proof": {"kind": "spectral", "upper": "2.5"},
    "sources": {"model": "0" * 64, "data": "0" * 64, "problem": "", "parameters": None, "data_names": None},
    "arrays": [],
}
ORDER = ("X", "Y", "sample_weights", "mask", "W1", "b1", "W2", "b2", "S", "A")


def handmade(proof=None, *, upper=None, arrays=None, **problem):
    """Header and arrays; numbers of the header may be written as decimals.

    Args:
        proof: arrays of the proof.
        upper: claimed bound on the polar.
        arrays: arrays in place of the standard ones.
        problem: entries of the header, and `d` and `c`, numbers of inputs and outputs.
    """
    header, d, c = copy.deepcopy(HEADER), problem.pop("d", 1), problem.pop("c", 1)
    header["proof"]["upper"] = str(upper or header["proof"]["upper"])
    for key, value in problem.items():
        header[SECTIONS[key]][key] = value
    stated = header["problem"]
    wide = np.pad(SIGNS, ((0, 0), (0, d - 1))), np.pad(SIGNS, ((0, 0), (0, c - 1)))
    standard = {"X": wide[0], "Y": wide[1], "A": -wide[1], "W1": np.zeros((1, d)), "W2": np.zeros((c, 1))}
    standard |= {"b1": np.zeros(1)} if stated["hidden_bias"] != "absent" else {}
    standard |= {"b2": np.zeros(c)} if stated["output_bias"] != "absent" else {}
    standard |= {"S": np.zeros((c, d))} if stated["skip"] != "absent" else {}
    standard |= arrays or {}
    stated |= {name: name in standard for name in ("sample_weights", "mask")}
    return hexadecimal(header), {name: standard[name] for name in ORDER if name in standard} | (proof or {})


def hexadecimal(header):
    """The header with its decimal numbers spelled as the format wants."""
    for section, keys in (
        ("claim", ("upper", "lower")),
        ("problem", ("scale", "strength", "lambda", "tolerance_relative", "tolerance_absolute")),
        ("dual", ("scale",)),
        ("proof", ("upper",)),
    ):
        for key in keys:
            header[section][key] = float(header[section][key]).hex()
    return header


def single_layer(**settings):
    """No hidden units, W = 0 as the skip: the dual value at A = −Y/2 is 3/4 − |XᵀA|²/(2λ) = 7/12."""
    arrays = {"W1": np.zeros((0, 1)), "W2": np.zeros((1, 0))}
    return handmade(arrays=arrays, family="single-layer", kind="vacuous", skip="penalized", **settings)


def free_skip():
    """Two inputs, of which one is 0, and A = (¼, ¼) orthogonal to the other."""
    header, arrays = handmade(skip="free", d=2, arrays={"A": np.full((2, 1), 0.25)})
    header["claim"]["lower"] = (-1.0).hex()
    return header, arrays


def leaves(roots, dimension):
    """A tree of roots alone."""
    return {"splits": np.zeros(roots, np.uint8), "tangents": np.ones((roots, dimension), np.uint8)}


def cone_tree(d=1, **settings):
    """Cones without a bias: F = I, G = X."""
    inputs = np.pad(SIGNS, ((0, 0), (0, d - 1)))
    proof = {"frame": np.eye(d), "rows": inputs} | leaves(2 << d, d)
    return handmade(proof, family="relu", kind="cone-tree", d=d, upper=1.25, **settings)


def free_cone_tree(**settings):
    """Cones with a free bias: K = 2."""
    proof = {"frame": np.eye(1), "rows": SIGNS} | leaves(8, 2) | {"center": np.zeros(1), "column": np.ones(1)}
    return handmade(proof, family="relu", kind="cone-tree", hidden_bias="free", **({"upper": 2.25} | settings))


def scalar_majorant(**settings):
    """M = k = 1/4, lin = ±1, (τ − 1/4)(U − k − τ) ≥ 1/4."""
    proof = {"curvatures": np.full((2, 2), 0.25), "slopes": np.zeros((2, 2)), "caps": np.zeros((2, 2))}
    proof |= {"levels": np.full(2, 0.8)}
    return handmade(proof, **({"family": "relu", "kind": "scalar-majorant", "upper": 1.6} | settings))


def vector_majorant(**settings):
    """The same in the first of two outputs, N_1 ≥ 2 lin² + 8 k M = 2.5."""
    proof = {"curvatures": np.full((2, 2, 2), 0.25), "slopes": np.zeros((2, 2, 2)), "mixings": np.ones((2, 2))}
    proof |= {"envelopes": np.array([[[2.51]], [[0.01]]])}
    return handmade(proof, **({"family": "relu", "kind": "vector-majorant", "c": 2, "upper": 1.6} | settings))


def free_majorant(**settings):
    """A free bias: x̃ = (x, 1), ρ = 2, R = 2; the eigenvalue bound 2 τ + 1/8 + |lin|²/(4 (τ − 1)) with p = 1/2."""
    proof = {"curvatures": np.full((2, 2), 0.5), "slopes": np.zeros((2, 2)), "caps": np.zeros((2, 2))}
    proof |= {"levels": np.full(2, 1.5), "center": np.zeros(1), "column": np.ones(2)}
    return handmade(proof, family="relu", kind="scalar-majorant", hidden_bias="free", **({"upper": 4} | settings))


def capped_majorant(**settings):
    """Caps c = 1 on the sample of negative score: M = 1/4 − 1/2, so that U ≥ 1/2 + 1/2 at τ = 1/4, the polar itself."""
    header, arrays = scalar_majorant(**({"upper": 1.05} | settings))
    curvatures = np.array([[0.25, 2.0**-20], [2.0**-20, 0.25]])
    return header, arrays | {"curvatures": curvatures, "caps": np.array([[0.0, 1], [1, 0]]), "levels": np.full(2, 0.25)}


def free_vector_majorant(**settings):
    """A free bias and two outputs: ρ = 2, N = diag(3.1, 1.1) ⪰ 2 lin linᵀ + 8 k M with lin = (±1, 0), k = p = 1/4."""
    proof = {"curvatures": np.full((2, 2, 2), 0.25), "slopes": np.zeros((2, 2, 2)), "mixings": np.ones((2, 2))}
    proof |= {"envelopes": np.array([np.diag([3.1, 1.1]), 0.01 * np.eye(2)])}
    proof |= {"center": np.zeros(1), "column": np.ones(1)}
    return handmade(
        proof, family="relu", kind="vector-majorant", c=2, hidden_bias="free", **({"upper": 2.5} | settings)
    )


def sorting(**settings):
    """One input and a free bias."""
    return handmade(family="relu", kind="sorting", hidden_bias="free", **({"upper": 2.25} | settings))


def randomized():
    """G = −2."""
    header, arrays = handmade({"edge": np.array([2.0])}, kind="randomized")
    header["claim"]["failure_probability"] = (1e-12).hex()
    return header, arrays


def product(**settings):
    """Products of norms."""
    chosen = {"family": "quadratic", "kind": "quadratic-form", "penalty": "product-of-norms", "powers": [2, 1]}
    return handmade(**(chosen | settings))


def softmax(**settings):
    """Cross-entropy of two classes: A = p − y at z = 0, halved twice."""
    y = np.eye(2)
    arrays = {"Y": y, "A": (0.5 - y) / 2}
    return handmade(loss="cross-entropy", c=2, arrays=arrays, **settings)


def bytes_of(made):
    """The certificate as a file with right digests."""
    return packed(*made)
