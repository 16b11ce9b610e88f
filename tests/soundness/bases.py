"""Valid certificates to forge: every kind of proof, with one and several outputs, biases, and other losses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from certify.bounds.rows.relaxations.relu_surrogate import first_order, joint_surrogate

from certify.bounds.ladder import scaled, trivial_bound
from certify.bounds.polar import PolarTask
from certify.models.loading import Problem
from certify.problem.dual import feasible_dual
from certify.workflows.certificate_of import settled_certificate

from ..verify.cases import PROVERS, unpacked
from .enumerated import enumerated_instance
from .planted import INSTANCES, Array, Planted, quadratic_instance

SECONDS = 0.3
SURROGATES = {"joint": joint_surrogate, "first-order": first_order}


@dataclass(frozen=True)
class Base:
    """A valid certificate.

    Attributes:
        header: its header.
        arrays: its arrays.
        known: parameters of a network that is optimal, or good.
        planted: whether the optimum is known in closed form for these inputs, other targets, scales and λ.
    """

    header: dict
    arrays: dict[str, Array]
    known: tuple[Array, Array, Array, Array]
    planted: bool

    @property
    def family(self) -> str:
        """Of subnetworks."""
        return self.header["problem"]["family"]


def closed_form(header: dict, arrays: dict[str, Array], family: str) -> float:
    """The optimum of a planted problem with other targets, scale or λ (see `planted`)."""
    kappa = 2 * float.fromhex(header["problem"]["scale"])
    if header["problem"]["reduction"] == "mean":
        kappa /= arrays["Y"].size
    strength, y = float.fromhex(header["problem"]["strength"]) / kappa, arrays["Y"]
    if family == "linear":
        sizes = np.linalg.svd(y, compute_uv=False)
    elif family == "quadratic":
        sizes = np.abs(y[:, 0])
    else:
        sizes = np.array([np.linalg.norm(np.maximum(y, 0)), np.linalg.norm(np.maximum(-y, 0))])
    kept = np.maximum(sizes - strength, 0)
    return kappa * float((np.minimum(sizes, strength) ** 2).sum() / 2 + strength * kept.sum())


def certified(problem: Problem, kind: str) -> tuple[dict, dict[str, Array]]:
    """Header and arrays of a certificate by one kind of proof, at the gradient of the network."""
    objective = problem.objective
    if kind == "zero":
        return unpacked(settled_certificate(problem, problem.terms, trivial_bound(objective)).data)
    dual = feasible_dual(objective, objective.evaluate(problem.network).gradient)
    task = PolarTask(objective, dual, 0.0, time.perf_counter() + SECONDS, objective.empty_network().factors)
    found = SURROGATES[kind](task) if kind in SURROGATES else [(dual, PROVERS[kind](task))]
    return unpacked(settled_certificate(problem, problem.terms, scaled(objective, *found[0])).data)


def planted_base(kind: str, family: str, seed: int) -> Base:
    """A problem with an optimum in closed form."""
    made = INSTANCES[family](np.random.default_rng([40, seed]))
    return _planted(made, kind, planted=True)


def two_squares(seed: int) -> Base:
    """The quadratic family with two outputs; the optimum is not known."""
    rng = np.random.default_rng([42, seed])
    one = quadratic_instance(rng)
    targets = np.column_stack([one.targets, rng.standard_normal(len(one.targets))])
    sizes = np.linalg.norm(targets, axis=1)
    root = np.maximum(sizes - one.strength, 1e-3) ** (1 / 3)
    second = targets / sizes[:, None] * root[:, None]
    made = Planted("quadratic", one.inputs, targets, one.strength, np.nan, one.inputs * root[:, None], second)
    return _planted(made, "quadratic-form", planted=False)


def _planted(made: Planted, kind: str, *, planted: bool) -> Base:
    known = made.first, np.zeros(len(made.first)), made.second.T, np.zeros(made.second.shape[1])
    return Base(*certified(made.problem(made.first, made.second), kind), known, planted)


def enumerated_base(kind: str, seed: int, loss: str = "mse", biases: str = "absent", outputs: int = 1) -> Base:
    """A ReLU problem whose optimum is planted at a maximizer of the polar; biases: both of one policy."""
    rng = np.random.default_rng([43, seed])
    while True:
        made = enumerated_instance(rng, loss, biases, biases, outputs)
        if biases != "free" or made.problem.inputs.shape[1] == 1:
            break
    weights = made.weights
    known = weights.first, weights.hidden, weights.second.T, weights.output
    return Base(*certified(made.problem.problem(weights), kind), known, planted=False)


BASES: dict[str, Callable[[int], Base]] = {
    "zero": lambda seed: planted_base("zero", "linear", seed),
    "spectral": lambda seed: planted_base("spectral", "linear", seed),
    "randomized": lambda seed: planted_base("randomized", "linear", seed),
    "quadratic-form": lambda seed: planted_base("quadratic-form", "quadratic", seed),
    "quadratic-form, two outputs": two_squares,
    "norm-products": lambda seed: planted_base("norm-products", "relu", seed),
    "norm-products, free biases": lambda seed: enumerated_base("norm-products", seed, biases="free"),
    "sorting": lambda seed: enumerated_base("sorting", seed, biases="free"),
    "sorting, two outputs": lambda seed: enumerated_base("sorting", seed, biases="free", outputs=2),
    "cone-tree": lambda seed: planted_base("cone-tree", "relu", seed),
    "cone-tree, two outputs": lambda seed: enumerated_base("cone-tree", seed, outputs=2),
    "cone-tree, penalized biases": lambda seed: enumerated_base("cone-tree", seed, biases="penalized"),
    "cone-tree, free biases": lambda seed: enumerated_base("cone-tree", seed, biases="free"),
    "cone-tree, free biases, two outputs": lambda seed: enumerated_base("cone-tree", seed, biases="free", outputs=2),
    "cone-tree, binary-cross-entropy": lambda seed: enumerated_base("cone-tree", seed, "binary-cross-entropy"),
    "cone-tree, cross-entropy": lambda seed: enumerated_base("cone-tree", seed, "cross-entropy", "penalized", 2),
    "norm-products, poisson": lambda seed: enumerated_base("norm-products", seed, "poisson", "penalized"),
    "scalar-majorant": lambda seed: planted_base("joint", "relu", seed),
    "scalar-majorant, given multipliers": lambda seed: planted_base("majorant", "relu", seed),
    "scalar-majorant, free biases": lambda seed: enumerated_base("joint", seed, biases="free"),
    "scalar-majorant, huber": lambda seed: enumerated_base("joint", seed, "huber", "penalized"),
    "vector-majorant": lambda seed: enumerated_base("first-order", seed, outputs=2),
    "vector-majorant, given multipliers": lambda seed: enumerated_base("majorant", seed, outputs=2),
    "vector-majorant, free biases": lambda seed: enumerated_base("first-order", seed, biases="free", outputs=2),
}
