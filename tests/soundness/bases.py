"""Valid certificates to forge: every kind of proof, with any outputs, biases, losses, slopes, readouts and branches."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from certify.bounds.ladder import scaled, trivial_bound
from certify.bounds.polar import PolarTask
from certify.bounds.score_rounding import with_score_rounding
from certify.models.loading import Problem
from certify.problem.dual import feasible_dual
from certify.workflows.certificate_of import settled_certificate

from ..verify.packing import unpacked
from .ceilings import parameters_of
from .closed_forms import quadratics_with_two_outputs
from .enumerated import enumerated_instance
from .planted import INSTANCES, Array
from .provers import MOVING, PROVERS
from .sketches import SKETCHES
from .sums import planted_sum
from .torch_sums import problem_of

SECONDS = 0.3


@dataclass(frozen=True)
class Base:
    """A valid certificate.

    Attributes:
        header: its header.
        arrays: its arrays; the network in them is optimal, or good.
        family: with an optimum in closed form for these inputs and any targets, scale and λ; empty for none.
    """

    header: dict
    arrays: dict[str, Array]
    family: str = ""

    @property
    def known(self) -> dict[str, Array]:
        """Parameters of the network."""
        return parameters_of(self.arrays)


def certified(problem: Problem, *kinds: str) -> tuple[dict, dict[str, Array]]:
    """Header and arrays of a certificate by one kind of proof for each branch, at the gradient of the network."""
    objective = problem.objective
    if "zero" in kinds:
        return unpacked(settled_certificate(problem, trivial_bound(objective)).data)
    dual = feasible_dual(objective, objective.evaluate(problem.network).gradient)
    stacks, until = objective.empty_stacks(), time.perf_counter() + SECONDS
    tasks = [
        PolarTask(objective, index, dual, 0.0, until, stack, network=network)
        for index, (stack, network) in enumerate(zip(stacks, problem.network.stacks, strict=True))
    ]
    if kinds and kinds[0] in MOVING:
        dual, polar = MOVING[kinds[0]](tasks[0])[0]
        polars = [polar]
    else:
        polars = [PROVERS[kind](task) for kind, task in zip(kinds, tasks, strict=True)]
    pairs = zip(objective.branches, polars, strict=True)
    bound = scaled(objective, dual, tuple(with_score_rounding(branch, dual, polar) for branch, polar in pairs))
    return unpacked(settled_certificate(problem, bound).data)


def planted_base(kind: str, family: str, seed: int) -> Base:
    """A problem with an optimum in closed form."""
    made = INSTANCES[family](np.random.default_rng([40, seed]))
    return Base(*certified(made.problem(made.first, made.second), kind), family)


def enumerated_base(kind: str, seed: int, loss: str = "mse", biases: str = "absent", outputs: int = 1) -> Base:
    """A ReLU problem whose optimum is planted at a maximizer of the polar; biases: both of one policy."""
    rng = np.random.default_rng([43, seed])
    while True:
        made = enumerated_instance(rng, loss, biases, biases, outputs)
        if kind != "sorting" or made.problem.inputs.shape[1] == 1:
            return Base(*certified(made.problem.problem(made.weights), kind))


def sum_base(sketch: str, seed: int, *kinds: str, loss: str = "mse") -> Base:
    """A sum of branches, planted; a kind of proof for each branch, by turns."""
    given = SKETCHES[sketch]()
    given = replace(given, outputs=(1,)) if "signs" in kinds else given
    made = planted_sum(np.random.default_rng([45, seed]), given, loss)
    problem = problem_of(made, made.parameters)
    count = len(problem.objective.branches)
    return Base(*certified(problem, *(kinds[at % len(kinds)] for at in range(count))))


def single_layer(seed: int) -> Base:
    """No branches: ridge regression with a penalized bias."""
    rng = np.random.default_rng([46, seed])
    inputs, targets = rng.standard_normal((5, 2)), rng.standard_normal((5, 2))
    extended = np.column_stack([inputs, np.ones(5)])
    best = np.linalg.solve(2 * extended.T @ extended + 0.3 * np.eye(3), 2 * extended.T @ targets)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(best[:2].T.copy()))
        model[0].bias.copy_(torch.from_numpy(best[2]))
    return Base(*certified(Problem.from_torch(model, inputs, targets, reduction="sum", weight_decay=0.3)))


BASES: dict[str, Callable[[int], Base]] = {
    "zero": lambda seed: planted_base("zero", "linear", seed),
    "spectral": lambda seed: planted_base("spectral", "linear", seed),
    "randomized": lambda seed: planted_base("randomized", "linear", seed),
    "quadratic-form": lambda seed: planted_base("quadratic-form", "quadratic", seed),
    "quadratic-form, two outputs": lambda seed: Base(*certified(quadratics_with_two_outputs(seed), "quadratic-form")),
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
    "sign-tree": lambda seed: planted_base("signs", "relu", seed),
    "sign-tree, free biases": lambda seed: enumerated_base("signs", seed, biases="free"),
    "sign-tree, penalized biases, huber": lambda seed: enumerated_base("signs", seed, "huber", "penalized"),
    "sign-tree, binary-cross-entropy": lambda seed: enumerated_base("signs", seed, "binary-cross-entropy"),
    "scalar-majorant": lambda seed: planted_base("joint", "relu", seed),
    "scalar-majorant, given multipliers": lambda seed: planted_base("majorant", "relu", seed),
    "scalar-majorant, free biases": lambda seed: enumerated_base("joint", seed, biases="free"),
    "scalar-majorant, huber": lambda seed: enumerated_base("joint", seed, "huber", "penalized"),
    "scalar-majorant, hubs": lambda seed: enumerated_base("hubs", seed, biases="penalized"),
    "scalar-majorant, random hubs": lambda seed: planted_base("random hubs", "relu", seed),
    "scalar-majorant, random hubs, free biases": lambda seed: enumerated_base("random hubs", seed, biases="free"),
    "vector-majorant": lambda seed: enumerated_base("first-order", seed, outputs=2),
    "vector-majorant, given multipliers": lambda seed: enumerated_base("majorant", seed, outputs=2),
    "vector-majorant, free biases": lambda seed: enumerated_base("first-order", seed, biases="free", outputs=2),
    "doubly-nonnegative": lambda seed: planted_base("products", "relu", seed),
    "doubly-nonnegative, given multipliers": lambda seed: planted_base("random products", "relu", seed),
    "doubly-nonnegative, free biases": lambda seed: enumerated_base("products", seed, biases="free"),
    "doubly-nonnegative, two outputs": lambda seed: enumerated_base("products", seed, outputs=2),
    "doubly-nonnegative, given multipliers, two outputs": lambda seed: enumerated_base(
        "random products", seed, outputs=2
    ),
    "doubly-nonnegative, free biases, two outputs": lambda seed: enumerated_base(
        "products", seed, biases="free", outputs=2
    ),
    "doubly-nonnegative, huber": lambda seed: enumerated_base("products", seed, "huber", "penalized"),
    "no branches": single_layer,
    "cone-tree, leaky relu": lambda seed: sum_base("leaky relu, -0.3", seed, "cone-tree"),
    "sign-tree, leaky relu": lambda seed: sum_base("leaky relu, -0.3", seed, "signs"),
    "sign-tree, absolute value": lambda seed: sum_base("absolute value", seed, "signs", loss="huber"),
    "norm-products, leaky relu": lambda seed: sum_base("leaky relu, 1.7", seed, "norm-products"),
    "majorant, leaky relu": lambda seed: sum_base("leaky relu, 0.1", seed, "majorant"),
    "majorant, absolute value": lambda seed: sum_base("absolute value", seed, "first-order majorant", loss="huber"),
    "doubly-nonnegative, leaky relu": lambda seed: sum_base("leaky relu, 1.7", seed, "products"),
    "doubly-nonnegative, absolute value": lambda seed: sum_base("absolute value", seed, "products", loss="huber"),
    "sorting, absolute value": lambda seed: sum_base("free absolute value", seed, "sorting"),
    "relu + absolute value": lambda seed: sum_base("relu + absolute value", seed, "cone-tree", "majorant"),
    "relu + linear": lambda seed: sum_base("relu + linear", seed, "cone-tree", "spectral"),
    "relu + linear, randomized": lambda seed: sum_base("relu + linear", seed, "norm-products", "randomized"),
    "three slopes": lambda seed: sum_base("three slopes", seed, "cone-tree", "norm-products", loss="poisson"),
    "neural additive": lambda seed: sum_base("neural additive", seed, "cone-tree"),
    "two output biases": lambda seed: sum_base("two output biases", seed, "cone-tree"),
    "two convolutions": lambda seed: sum_base("two convolutions", seed, "cone-tree", "spectral"),
    "convolution, averaged": lambda seed: sum_base("convolution, averaged", seed, "cone-tree"),
    "convolution, a weight for each position": lambda seed: sum_base(
        "convolution, a weight for each position", seed, "majorant"
    ),
    "convolution, padded": lambda seed: sum_base("convolution, padded", seed, "cone-tree", loss="binary-cross-entropy"),
    "convolution of images": lambda seed: sum_base("convolution of images", seed, "majorant"),
    "convolution, pooled over padding": lambda seed: sum_base("convolution, pooled over padding", seed, "cone-tree"),
    "convolution, then convolution": lambda seed: sum_base("convolution, then convolution", seed, "norm-products"),
    "linear convolution": lambda seed: sum_base("linear convolution", seed, "spectral"),
    "bilinear form": lambda seed: sum_base("bilinear form", seed, "spectral"),
    "bilinear form, randomized": lambda seed: sum_base("bilinear form", seed, "randomized"),
    "identity skip": lambda seed: sum_base("identity skip", seed, "cone-tree"),
    "linear skip": lambda seed: sum_base("linear skip", seed, "cone-tree"),
    "identity skip beside two branches": lambda seed: sum_base(
        "identity skip beside two branches", seed, "cone-tree", "spectral", loss="cross-entropy"
    ),
}


@functools.cache
def base_of(name: str, seed: int) -> Base:
    """One of them, made once; nobody changes it."""
    return BASES[name](seed)
