"""Certificates written by hand, without the prover: one valid one of every kind, small enough to check on paper.

Two samples x = 1, −1 with targets 1, −1 (and columns of zeros where a rule needs more inputs or outputs), half the
squared error, the zero network: objective 1. At A = −Y/2 the dual value is 3/4; Ω°(Y) is 2 for linear subnetworks,
1 for ReLU, 2 for ReLU with a free bias and 0 for squares.
"""

from __future__ import annotations

import numpy as np

from .packing import packed

SIGNS = np.array([[1.0], [-1.0]])
MIDDLE = {"linear": [], "relu": [{"op": "relu"}], "square": [{"op": "square"}]}
LINEAR = {"op": "linear"}


def handmade(proof=None, *, upper=2.5, arrays=None, **settings):
    """Header and arrays.

    Args:
        proof: arrays of the proof.
        upper: claimed bound on the polar.
        arrays: arrays in place of the standard ones.
        settings: `family` or `layers`, `kind`, `hidden_bias`, `output_bias`, `skip`, `penalty`, `loss`, `inputs`,
            `offset`, and `d` and `c`, numbers of inputs and outputs.
    """
    d, c = settings.get("d", 1), settings.get("c", 1)
    wide = np.pad(SIGNS, ((0, 0), (0, d - 1))), np.pad(SIGNS, ((0, 0), (0, c - 1)))
    bias, policies = settings.get("hidden_bias", "absent"), _outside(settings)
    standard = {"X": wide[0], "Y": wide[1], "A": -wide[1], "F0.0": np.zeros((1, d)), "F0.1": np.zeros((1, c))}
    standard |= {"F0.bias": np.zeros(1)} if bias != "absent" else {}
    standard |= {f"C{j}": np.zeros((1 if b["features"] == "ones" else d, c)) for j, b in enumerate(policies)}
    standard |= arrays or {}
    family, decay = settings.get("family", "linear"), {"name": "weight-decay", "strengths": [3.0, 3.0], "bias": None}
    penalty = settings.get("penalty", decay | ({"bias": 3.0} if bias == "penalized" else {}))
    layers = settings.get("layers", [LINEAR, *MIDDLE[family], LINEAR])
    kind = settings.get("kind", "spectral")
    header = {
        "schema": "certify.certificate/2",
        "statement": {
            "inputs": settings.get("inputs", [d]),
            "branches": [{"layers": layers, "bias": bias, "penalty": penalty, "function": "identity"}],
            "outside": policies,
            "offset": settings.get("offset"),
            "loss": {"name": settings.get("loss", "mse"), "reduction": "sum", "scale": 0.5},
            "sample_weights": "sample_weights" in standard,
            "mask": "mask" in standard,
            "features": None,
            "departures": [],
            "data": {"sha256": "0" * 64, "names": None},
            "tolerance": {"relative": 0.9, "absolute": 0.0},
        },
        "claim": {"upper": 2.0, "lower": 0.25, "widths": "all", "failure_probability": None},
        "dual": {"scale": 0.5},
        "proofs": [{"steps": ["project"] if kind == "cone-tree" else [], "kind": kind, "upper": float(upper)}],
        "sources": {"model": "0" * 64, "statement": "", "parameters": None},
        "arrays": [],
    }
    proof = {f"P0.{name}": values for name, values in (proof or {}).items()}
    return hexadecimal(header), {name: standard[name] for name in _order(standard)} | proof


def _outside(settings):
    """Policies of an output bias and a skip, in this order; λ = 3."""
    decays = {"penalized": 3.0, "free": 0.0}
    chosen = (("ones", settings.get("output_bias", "absent")), ("inputs", settings.get("skip", "absent")))
    return [{"features": name, "decay": decays[policy]} for name, policy in chosen if policy != "absent"]


def _order(arrays):
    order = ("X", "Y", "sample_weights", "mask", "offset", "F0.0", "F0.bias", "F0.1", "F0.2", "C0", "C1", "A")
    return [name for name in order if name in arrays]


def hexadecimal(value):
    """The header with its floats spelled as the format wants."""
    if isinstance(value, dict):
        return {key: hexadecimal(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [hexadecimal(entry) for entry in value]
    return value.hex() if isinstance(value, float) else value


def single_layer(**settings):
    """No subnetworks, C = 0 of the inputs: the dual value at A = −Y/2 is 3/4 − |XᵀA|²/(2λ) = 7/12."""
    header, arrays = handmade(skip="penalized", **settings)
    header["statement"]["branches"], header["proofs"] = [], []
    return header, {name: values for name, values in arrays.items() if not name.startswith("F")}


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
    return handmade(proof, **({"family": "relu", "kind": "cone-tree", "d": d, "upper": 1.25} | settings))


def free_cone_tree(**settings):
    """Cones with a free bias: K = 2."""
    proof = {"frame": np.eye(1), "rows": SIGNS} | leaves(8, 2) | {"center": np.zeros(1), "column": np.ones(1)}
    return handmade(proof, family="relu", kind="cone-tree", hidden_bias="free", **({"upper": 2.25} | settings))


def scalar_majorant(**settings):
    """M = k = 1/4, lin = ±1, (τ − 1/4)(U − k − τ) ≥ 1/4."""
    proof = {"curvatures": np.full((2, 2), 0.25), "slopes": np.zeros((2, 2))} | tilted(np.zeros((2, 2)))
    proof |= {"levels": np.full((2, 1), 0.8)}
    return handmade(proof, **({"family": "relu", "kind": "scalar-majorant", "upper": 1.6} | settings))


def vector_majorant(**settings):
    """The same in the first of two outputs, N_1 ≥ 2 lin² + 8 k M = 2.5."""
    proof = {"curvatures": np.full((2, 2, 2), 0.25), "slopes": np.zeros((2, 2, 2)), "mixings": np.ones((2, 2))}
    proof |= {"envelopes": np.array([[[2.51]], [[0.01]]])}
    return handmade(proof, **({"family": "relu", "kind": "vector-majorant", "c": 2, "upper": 1.6} | settings))


def free_majorant(**settings):
    """A free bias: x̃ = (x, 1), ρ = 2; the eigenvalue bound 2 τ + 1/8 + |lin|²/(4 (τ − 1)) with p = 1/2."""
    proof = {"curvatures": np.full((2, 2), 0.5), "slopes": np.zeros((2, 2))} | tilted(np.zeros((2, 2)))
    proof |= {"levels": np.full((2, 2), 1.5), "center": np.zeros(1), "column": np.ones(2)}
    return handmade(proof, family="relu", kind="scalar-majorant", hidden_bias="free", **({"upper": 4} | settings))


def tilted(tilts):
    """W along one axis, for both signs of both samples."""
    return {"tilts": tilts[:, :, None], "axes": np.ones((2, 1, 1))}


def tilted_majorant(**settings):
    """W = x at the sample of negative score: M = 1/4 − 1/2, so that U ≥ 1/2 + 1/2 at τ = 1/4, the polar itself."""
    header, arrays = scalar_majorant(**({"upper": 1.05} | settings))
    curvatures = np.array([[0.25, 2.0**-20], [2.0**-20, 0.25]])
    tilts = np.array([[0.0, -1], [1, 0]])[:, :, None]
    changes = {"P0.curvatures": curvatures, "P0.tilts": tilts, "P0.levels": np.full((2, 1), 0.25)}
    return header, arrays | changes


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
    penalty = {"name": "product-of-norms", "strength": 3.0, "powers": [2, 1]}
    return handmade(**({"family": "square", "kind": "quadratic-form", "penalty": penalty} | settings))


def leaky(**settings):
    """σ(t) = −t/2 below 0, at most |t|: Σ |A| |x| = 2; the polar itself is 1/2, and 3/2 if the slope is 1/2."""
    layers = [LINEAR, {"op": "leaky_relu", "slope": -0.5}, LINEAR]
    return handmade(**({"layers": layers, "kind": "norm-products", "upper": 2.25} | settings))


def softmax(**settings):
    """Cross-entropy of two classes: A = p − y at z = 0, halved twice."""
    y = np.eye(2)
    arrays = {"Y": y, "A": (0.5 - y) / 2}
    return handmade(loss="cross-entropy", c=2, arrays=arrays, **settings)


def bytes_of(made):
    """The certificate as a file with right digests."""
    return packed(*made)


CONVOLUTION = {"op": "convolution", "kernel": [2], "stride": [1], "padding": [1], "dilation": [1]}
POOL = {"op": "average_pool", "kernel": [2], "stride": [1], "padding": [0], "counts_padding": True}


def convolution(**settings):
    """Positions (0, x), (x, 0), (0, 0) of inputs (x, 0), averaged in pairs: G = −[[1, 1], [1, 0]], |G| = 1.618…."""
    layers = [CONVOLUTION, POOL, LINEAR]
    arrays = {"F0.0": np.zeros((1, 2)), "F0.1": np.zeros((1, 2))}
    return handmade(**({"layers": layers, "inputs": [1, 2], "d": 2, "arrays": arrays, "upper": 1.7} | settings))


def bilinear(**settings):
    """The hidden value times x: S_i = A_i x_i, so that G = Σ x_i A_i x_i = −3/4 for x = 1, 1/2."""
    layers = [LINEAR, {"op": "times_inputs"}, LINEAR]
    return handmade(**({"layers": layers, "arrays": {"X": np.array([[1.0], [0.5]])}, "upper": 0.8} | settings))


def two_branches():
    """A linear and a ReLU branch side by side, λ = 3 and 2."""
    header, arrays = handmade()
    other, more = handmade(family="relu", kind="norm-products", upper=2.1)
    other = (
        other["statement"]["branches"][0]
        | {"penalty": hexadecimal({"name": "weight-decay", "strengths": [4.0, 1.0], "bias": None})},
        other["proofs"][0],
    )
    header["statement"]["branches"].append(other[0])
    header["proofs"].append(other[1])
    moved = {"F1.0": more["F0.0"], "F1.1": more["F0.1"]}
    dual = arrays.pop("A")
    return header, arrays | moved | {"A": dual}


def unequal(**settings):
    """Decays 2, 8 and 1/2 of the bias: λ = 4, the constant is √(2/(1/2)) = 2; A = (−3/2, 1/2), Ω° = |(−2, −2)|."""
    penalty = {"name": "weight-decay", "strengths": [2.0, 8.0], "bias": 0.5}
    arrays = {"A": np.array([[-1.5], [0.5]])}
    chosen = {"penalty": penalty, "arrays": arrays, "hidden_bias": "penalized", "upper": 2.85}
    return handmade(**(chosen | settings))


def shifted(**settings):
    """The inputs added to the outputs: Z = X = Y, objective 0; A = −Y/2 is worth 3/4 + <A, X>/2 = −1/4."""
    header, arrays = handmade(offset="inputs", **settings)
    header["claim"]["lower"] = (-0.26).hex()
    return header, arrays


def moved(**settings):
    """A fixed offset of −1/2: objective 5/4; worth nothing at A = −Y/2, since 1ᵀA = 0."""
    return handmade(offset="array", arrays={"offset": np.full((2, 1), -0.5)}, **settings)


def hub_majorant(**settings):
    """One hub h = 1: l = 2 s − 1 at the sample of negative score, ω = ∓1/2, and N with δ = 2⁻⁶ more than 2 (u² − s²).

    So F = 1/2 ± u − (1/2 − δ) u² − δ s², and U ≥ 1 + δ at τ = δ.
    """
    header, arrays = scalar_majorant(**({"upper": 1.02} | settings))
    links = np.zeros((8, 2, 1))
    # t₊ of the sample −1 meets s + u only where u < 0; there s + u = 0. So it is for t₋ and s − u.
    links[0, 1] = links[3, 1] = links[5, 0] = links[6, 0] = 1
    changes = {
        "levels": np.full((2, 1), 2.0**-6),
        "hubs": np.ones((2, 1, 1)),
        "links": links,
        "lifts": np.zeros((2, 2, 1)),
    }
    changes["hub-products"] = np.tile(-(0.5 + 2.0**-7) * np.array([[0.0, 1], [1, 0]]), (2, 1, 1))
    changes["hub-tilts"] = np.tile(np.array([[-0.5], [0.5]]), (2, 1, 1))
    return header, arrays | {f"P0.{name}": value for name, value in changes.items()}
