"""Random problems and certificates of them, by numpy and without the prover: every kind of proof, far from trained.

The claims are settled on what `measure` finds; the tests hold them against torch, closed forms and random search.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from certify.certificates.certificate_file import CertificateContent
from certify.verify import measure
from certify.verify.enclosure import Enclosure
from certify.verify.forms.form import form_of
from certify.verify.statement.problem import read_problem

from .proving import PROVERS

LOSSES = ("mse", "cross-entropy", "binary-cross-entropy", "soft-margin", "huber", "squared-hinge", "poisson")
NAMES = dict.fromkeys(("inputs", "targets", "sample_weights", "mask"))
MARGIN = 2.0**-40
LINEAR, RELU, SQUARE = ("linear", "linear"), ("linear", "relu", "linear"), ("linear", "square", "linear")
KINKED = ("norm-products", "cone-tree", "majorant", "products")
FAMILIES = {
    "linear": (LINEAR, ("zero", "spectral", "randomized")),
    "relu": (RELU, ("zero", *KINKED)),
    "leaky": (("linear", ("leaky_relu", {"slope": 0.3}), "linear"), KINKED),
    "abs": (("linear", "abs", "linear"), KINKED),
    "square": (SQUARE, ("zero", "quadratic-form")),
}


@dataclass(frozen=True)
class Branch:
    """Subnetworks of one kind, their number and the kind of proof of their polar."""

    layers: tuple
    kind: str = "norm-products"
    bias: str = "absent"
    strengths: tuple = (0.05, 0.05)
    bias_decay: float | None = None
    product: bool = False
    width: int = 4

    def stated(self):
        layers = [{"op": one} if isinstance(one, str) else {"op": one[0], **one[1]} for one in self.layers]
        penalty = {"name": "weight-decay", "strengths": list(self.strengths), "bias": None}
        if self.bias == "penalized":
            penalty["bias"] = self.bias_decay or self.strengths[0]
        if self.product or "square" in self.layers:
            powers = [2, 1] if "square" in self.layers else [1, 1]
            penalty = {"name": "product-of-norms", "strength": self.strengths[0], "powers": powers}
        return {"layers": layers, "bias": self.bias, "penalty": penalty, "function": "identity"}


@dataclass(frozen=True)
class Built:
    """A certificate before it is written; `data` is the file."""

    content: CertificateContent

    @property
    def data(self):
        return self.content.to_bytes()

    @property
    def made(self):
        return self.content.header(), dict(self.content.arrays)


def build(
    *branches,
    loss="mse",
    inputs=(3,),
    outputs=None,
    samples=12,
    outside=(),
    offset=None,
    reduction="mean",
    scale=1.0,
    weighted=False,
    masked=False,
    seed=0,
    arrays=None,
):
    """A settled certificate of a random problem.

    Args:
        branches: `Branch`es.
        outside: pairs of features and decay.
        arrays: in place of the random ones.
        loss, inputs, outputs, samples, offset, reduction, scale, weighted, masked, seed: what the statement says.
    """
    generator = np.random.default_rng(seed)
    c = outputs or (3 if loss == "cross-entropy" else 2)
    statement = {
        "inputs": list(inputs),
        "branches": [branch.stated() for branch in branches],
        "outside": [{"features": features, "decay": float(decay)} for features, decay in outside],
        "offset": offset,
        "loss": {"name": loss, "reduction": reduction, "scale": scale},
        "sample_weights": weighted,
        "mask": masked,
        "features": None,
        "departures": [],
        "data": {"sha256": "0" * 64, "names": None},
        "tolerance": {"relative": 0.5, "absolute": 0.0},
    }
    content = CertificateContent(1.0, 0.0, None, 1.0, statement, [], "0" * 64, None, {})
    problem = read_problem(content.header()["statement"])
    found = _data(generator, problem, samples, c) | _weights(generator, problem, branches, c)
    found |= {name: values for name, values in (arrays or {}).items() if name in found}
    found["A"] = (arrays or {}).get("A", _dual_point(problem, found))
    return settled(replace(content, arrays=found), [branch.kind for branch in branches])


def settled(content, kinds):
    """The certificate with proofs of the given kinds, and scale and claim as the checker finds them."""
    problem = read_problem(content.header()["statement"])
    proofs, arrays, dual = [], dict(content.arrays), Enclosure(content.arrays["A"])
    for index, (branch, kind) in enumerate(zip(problem.branches, kinds, strict=True)):
        form = form_of(branch, arrays["X"], dual, Enclosure)
        proof, own = PROVERS[kind](form)
        proofs.append(proof)
        arrays |= {f"P{index}.{name}": values for name, values in own.items()}
    chance = 1e-12 if "randomized" in kinds else None
    content = replace(content, proofs=proofs, arrays=arrays, failure_probability=chance, scale=1 - MARGIN)
    return reclaimed(_shown(content))


def _shown(content):
    """Bounds of cone trees are what the checker shows of them."""
    if not any(proof["kind"] == "cone-tree" for proof in content.proofs):
        return content
    found = measure(replace(content, scale=0.0).header(), content.arrays).polars
    pairs = zip(content.proofs, found, strict=True)
    proofs = [
        proof | {"upper": polar.shown * (1 + 1e-9)} if proof["kind"] == "cone-tree" else proof for proof, polar in pairs
    ]
    return replace(content, proofs=proofs)


def reclaimed(content):
    """The certificate with the largest scale and the strongest claim, but for roundings."""
    polars = measure(replace(content, scale=0.0).header(), content.arrays, proofs=False).polars
    ratios = [polar.strength / polar.changed for polar in polars if polar.changed > 1e-300]
    content = replace(content, scale=min([content.scale, *(ratio * (1 - 2.0**-50) for ratio in ratios)]))
    found = measure(content.header(), content.arrays, proofs=False)
    (low, high), (bottom, top) = found.objective, found.dual_value
    return Built(replace(content, upper=high + 2 * (high - low), lower=bottom - 2 * (top - bottom)))


def _data(generator, problem, n, c):
    d = math.prod(problem.inputs)
    found = {"X": generator.standard_normal((n, d)), "Y": targets_for(problem.loss.name, n, c, generator)}
    found |= {"sample_weights": generator.random(n)} if problem.loss.weighted else {}
    if problem.loss.masked:
        found["mask"] = (generator.random((n, c)) < 0.7).astype(np.uint8)
    return found | ({"offset": generator.standard_normal((n, c))} if problem.offset == "array" else {})


def _weights(generator, problem, branches, c):
    found = {}
    for index, (branch, stated) in enumerate(zip(problem.branches, branches, strict=True)):
        o, _, k = branch.neuron.readout.counts.shape
        found[f"F{index}.0"] = 0.3 * generator.standard_normal((stated.width, branch.neuron.fan_in))
        found |= {} if branch.bias == "absent" else {f"F{index}.bias": 0.3 * generator.standard_normal(stated.width)}
        found[f"F{index}.1"] = 0.3 * generator.standard_normal((stated.width, c // o * k))
    for index, block in enumerate(problem.outside):
        rows = 1 if block.features == "ones" else math.prod(problem.inputs)
        found[f"C{index}"] = 0.3 * generator.standard_normal((rows, c))
    return found


def targets_for(loss, n, c, generator):
    real = generator.standard_normal((n, c))
    match loss:
        case "cross-entropy":
            return np.eye(c)[np.arange(n) % c]
        case "binary-cross-entropy":
            return 1 / (1 + np.exp(-real))
        case "soft-margin" | "squared-hinge":
            return np.where(real > 0, 1.0, -1.0)
        case "poisson":
            return np.abs(real).round()
        case _:
            return real


def omega_of(problem, arrays):
    """ω, (n, c)."""
    terms, shape = problem.loss, arrays["Y"].shape
    mask = arrays.get("mask", np.ones(shape))
    count = shape[0] if terms.name == "cross-entropy" else mask.sum()
    unit = terms.scale / (count if terms.reduction == "mean" else 1.0)
    return mask * arrays.get("sample_weights", np.ones(shape[0]))[:, None] * unit


def _dual_point(problem, arrays):
    """The gradient of the loss at zero outputs, a little shrunk, with sums that vanish where they must.

    Where a linear part of the inputs is free, a tenth of what is left beside it, in floats.
    """
    y, omega = arrays["Y"], omega_of(problem, arrays)
    gradient = {
        "mse": lambda: -2 * y,
        "huber": lambda: -np.clip(y, -1, 1),
        "binary-cross-entropy": lambda: 0.5 - y,
        "soft-margin": lambda: -y / 2,
        "squared-hinge": lambda: -2 * y,
        "poisson": lambda: 1 - y,
        "cross-entropy": lambda: y.mean(0) - y,
    }[problem.loss.name]()
    found = 0.9 * omega * gradient
    if problem.frees_inputs:
        features = np.concatenate([arrays["X"], np.ones((len(y), int(problem.frees_constants)))], 1)
        found = 0.1 * (found - features @ np.linalg.lstsq(features, found, rcond=None)[0])
    if problem.loss.name == "cross-entropy":
        found = np.round(found * 2.0**40) / 2.0**40
        found[:, -1] = -found[:, :-1].sum(1)
    elif problem.frees_constants:
        ups, downs = np.maximum(found, 0), np.maximum(-found, 0)
        totals = np.maximum(ups.sum(0), 1e-300), np.maximum(downs.sum(0), 1e-300)
        least = np.minimum(*totals)
        found = ups * least / totals[0] - downs * least / totals[1]
        found = np.round(found * 2.0**40) / 2.0**40
        for j, column in enumerate(found.T):
            found[np.argmax(np.abs(column)), j] -= column.sum()
    return found
