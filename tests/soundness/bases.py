"""Valid certificates to forge: every kind of proof, with any outputs, biases, losses, slopes, readouts and branches."""

from __future__ import annotations

import functools
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from certify.bounds.ladder import scaled, trivial_bound
from certify.bounds.polar import PolarTask
from certify.bounds.rows.relaxations.doubly_nonnegative.product_method import joint_products
from certify.bounds.score_rounding import with_score_rounding
from certify.growth.descent import descend
from certify.models.loading import Problem
from certify.problem.dual import feasible_dual
from certify.problem.unobserved import anchored
from certify.workflows.certificate_of import settled_certificate

from ..verify.packing import unpacked
from .ceilings import parameters_of
from .closed_forms import quadratics_with_two_outputs
from .deep_networks import Absolute, Sketch, convolutional, dense, fitted
from .enumerated import enumerated_instance
from .factored import scattered, solved
from .factorizations import rank_one_instance, vertex_instance
from .planted import INSTANCES, Array
from .planted_tensors import FAMILIES
from .planted_tied import orthogonal_problem, random_problem
from .provers import MOVING, PROVERS
from .sketches import SKETCHES
from .sums import planted_sum
from .torch_sums import problem_of
from .uneven import certificate, random_squares, random_tensor

SECONDS = 0.3
STEPS = 300


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
    objective = anchored(problem.objective, problem.network)
    if "zero" in kinds:
        return unpacked(settled_certificate(problem, trivial_bound(objective)).data)
    dual = feasible_dual(objective, objective.evaluate(problem.network).gradient)
    stacks, until = objective.empty_stacks(), time.perf_counter() + SECONDS
    tasks = [
        PolarTask(objective, index, dual, 0.0, until, stack, network=network)
        for index, (stack, network) in enumerate(zip(stacks, problem.network.stacks, strict=True))
    ]
    if "joint products" in kinds:
        found = joint_products(tasks)
        dual, polars = found.dual, list(found.bounds)
    elif kinds and kinds[0] in MOVING:
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


def factor_base(kind: str, seed: int, norms: tuple[str, str], *cones: str) -> Base:
    """A factorization under other norms, at its optimum."""
    make = vertex_instance if kind == "vertices" else rank_one_instance
    made = make(np.random.default_rng([48, seed]), norms, cones)
    return Base(*certified(made.problem(made.first, made.second), kind))


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


def solved_entries(family: str, seed: int, kind: str = "entries") -> Base:
    """A factorization with an optimum in closed form, of a matrix of which every entry is there."""
    made = solved(np.random.default_rng([47, seed]), family)
    closed = {"unequal": ""}.get(family, f"entries, {family}")
    return Base(*certified(made.problem.problem(made.tables), kind), closed)


def scattered_entries(seed: int, loss: str = "mse", kind: str = "entries", **settings: object) -> Base:
    """A factorization of some entries of a matrix, fitted."""
    rng = np.random.default_rng([48, seed])
    given = scattered(rng, (int(rng.integers(3, 6)), int(rng.integers(2, 5))), 0.7, loss, **settings)
    problem = given.problem(given.random_tables(rng, 2, 0.5))
    fitted = descend(problem.objective, problem.network, math.inf, STEPS)
    return Base(*certified(problem.with_network(fitted), kind))


def normed_entries(kind: str, seed: int, norms: tuple[str, str], *cones: str) -> Base:
    """The same under norms of the factors."""
    rng = np.random.default_rng([50, seed])
    penalty = {"strength": 0.4, "left": norms[0], "right": norms[1], "nonnegative": list(cones)}
    given = scattered(rng, (int(rng.integers(3, 6)), int(rng.integers(2, 5))), 0.7, penalty={"factor_norms": penalty})
    problem = given.problem({name: abs(table) for name, table in given.random_tables(rng, 2, 0.5).items()})
    fitted = descend(problem.objective, problem.network, math.inf, STEPS)
    return Base(*certified(problem.with_network(fitted), kind))


def tied_base(seed: int, kind: str = "eigenvalue") -> Base:
    """Tied weights with orthogonal inputs, at their optimum."""
    return Base(*certified(orthogonal_problem(np.random.default_rng([50, seed]))[0], kind), "tied")


def fitted_tied(seed: int, **settings: object) -> Base:
    """Tied weights with any inputs, fitted."""
    problem = random_problem(np.random.default_rng([51, seed]), **settings)
    fitted = descend(problem.objective, problem.network, math.inf, STEPS)
    return Base(*certified(problem.with_network(fitted), "eigenvalue"))


def tensor_entries(family: str, seed: int, kind: str) -> Base:
    """A tensor with its optimum."""
    made = FAMILIES[family](np.random.default_rng([49, seed]))
    with tempfile.TemporaryDirectory() as folder:
        return Base(*certified(made.problem(Path(folder)), kind))


def deep_base(kind: str, seed: int, sketch: Sketch, outputs: int = 1) -> Base:
    """A perceptron of several layers."""
    module = dense(replace(sketch, sizes=(2, *sketch.sizes, outputs)))
    return Base(*certified(fitted(seed, module, (4, 2), outputs, 0.3), kind))


def uneven_base(make: Callable[[], Problem]) -> Base:
    """Weight decay of subnetworks of another degree, at the best network found."""
    return Base(*certificate(make))


FREE = {"weight_decay": {"left": 0.3, "right": 0.4, "*_bias": 0.0}}
DECAYED = {"weight_decay": {"left": 0.3, "right": 0.4, "row_bias": 0.2, "column_bias": 0.0, "global_bias": 0.1}}
COUNTED = {"weight_decay": {"left": 0.1, "right": 0.1, "row_bias": 0.2, "column_bias": 0.05}, "entry_counts": True}
COUNTED_FREE = {"weight_decay": {"left": 0.1, "right": 0.1, "row_bias": 0.0}, "entry_counts": True}
PRODUCT = {"product_of_norms": {"strength": 0.4, "norms": [2, 2], "powers": [1, 1]}}
BOTH = ("row_bias", "column_bias")

BASES: dict[str, Callable[[int], Base]] = {
    "zero": lambda seed: planted_base("zero", "linear", seed),
    "spectral": lambda seed: planted_base("spectral", "linear", seed),
    "randomized": lambda seed: planted_base("randomized", "linear", seed),
    "quadratic-form": lambda seed: planted_base("quadratic-form", "quadratic", seed),
    "quadratic-form, two outputs": lambda seed: Base(*certified(quadratics_with_two_outputs(seed), "quadratic-form")),
    "eigenvalue": tied_base,
    "eigenvalue, zero": lambda seed: tied_base(seed, "zero"),
    "eigenvalue, any inputs": fitted_tied,
    "eigenvalue, biases": lambda seed: fitted_tied(
        seed, hidden=True, output=True, weight_decay={"weight": 0.3, "hidden": 0.1, "output": 0.2}
    ),
    "eigenvalue, free output bias, huber": lambda seed: fitted_tied(
        seed, hidden=True, output=True, loss="huber", weight_decay={"weight": 0.1, "hidden": 0.1, "output": 0.0}
    ),
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
    "vertices": lambda seed: factor_base("vertices", seed, ("l1", ("l1", "l2", "linf")[seed % 3])),
    "vertices, columns": lambda seed: factor_base("vertices", seed, ("mixture", "l1")),
    "vertices, a cone": lambda seed: factor_base("vertices", seed, ("l1", "mixture"), "right"),
    "vertices, two cones": lambda seed: factor_base("vertices", seed, ("linf", "l1"), "left", "right"),
    "semidefinite": lambda seed: factor_base("semidefinite", seed, ("l2", "linf")),
    "semidefinite, l∞": lambda seed: factor_base("semidefinite", seed, ("linf", "linf")),
    "semidefinite, mixtures": lambda seed: factor_base("semidefinite", seed, ("mixture", "mixture")),
    "semidefinite, a cone": lambda seed: factor_base("semidefinite", seed, ("mixture", "l2"), "right"),
    "semidefinite, two cones": lambda seed: factor_base("semidefinite", seed, ("l2", "l2"), "left", "right"),
    "semidefinite, two cones, l∞": lambda seed: factor_base("semidefinite", seed, ("linf", "l2"), "left", "right"),
    "spectral, a cone": lambda seed: factor_base("spectral", seed, ("l2", "l2"), "left"),
    "no branches": single_layer,
    "entries": lambda seed: solved_entries("plain", seed),
    "entries, zero": lambda seed: solved_entries("plain", seed, "zero"),
    "entries, randomized": lambda seed: solved_entries("plain", seed, "entries at random"),
    "entries, counted": lambda seed: solved_entries("counted", seed),
    "entries, counted, zero": lambda seed: solved_entries("counted", seed, "zero"),
    "entries, free biases of all entries": lambda seed: solved_entries("centered", seed),
    "entries, unequal decays and a factor": lambda seed: solved_entries("unequal", seed),
    "entries, some": scattered_entries,
    "entries, weighted, product of norms": lambda seed: scattered_entries(
        seed, penalty=PRODUCT, weights=np.linspace(0, 2, 6), settings={"reduction": "mean", "factor": -1.5}
    ),
    "entries, free biases": lambda seed: scattered_entries(seed, penalty=FREE, biases=BOTH),
    "entries, biases": lambda seed: scattered_entries(seed, penalty=DECAYED, biases=(*BOTH, "global_bias")),
    "entries, counted biases": lambda seed: scattered_entries(seed, penalty=COUNTED, biases=BOTH),
    "entries, counted, free biases, huber": lambda seed: scattered_entries(
        seed, "huber", penalty=COUNTED_FREE, biases=("row_bias",)
    ),
    "entries, counted, randomized": lambda seed: scattered_entries(
        seed, "huber", "entries at random", penalty=COUNTED_FREE, biases=("row_bias",)
    ),
    "entries, vertices": lambda seed: normed_entries("entry vertices", seed, ("l1", ("l1", "l2", "linf")[seed % 3])),
    "entries, vertices, cones": lambda seed: normed_entries("entry vertices", seed, ("l2", "l1"), "left", "right"),
    "entries, semidefinite": lambda seed: normed_entries("semidefinite", seed, ("l2", "linf")),
    "entries, semidefinite, cones": lambda seed: normed_entries("semidefinite", seed, ("l2", "l2"), "left", "right"),
    "entries, spectral, cones": lambda seed: normed_entries("entries", seed, ("linf", "l2"), "left", "right"),
    "entries, poisson": lambda seed: scattered_entries(seed, "poisson", penalty=FREE, biases=("column_bias",)),
    "entries, binary-cross-entropy": lambda seed: scattered_entries(
        seed, "binary-cross-entropy", penalty=DECAYED, biases=(*BOTH, "global_bias")
    ),
    "entries, unobserved": lambda seed: scattered_entries(seed, settings={"unobserved": 0.2}),
    "entries, unobserved, zero": lambda seed: scattered_entries(seed, kind="zero", settings={"unobserved": 3.0}),
    "entries, unobserved, weighted, product of norms": lambda seed: scattered_entries(
        seed, penalty=PRODUCT, weights=np.linspace(0, 2, 6), settings={"unobserved": 0.7, "scale": 0.5}
    ),
    "entries, unobserved, randomized": lambda seed: scattered_entries(
        seed, kind="entries at random", settings={"unobserved": 0.2}
    ),
    "unfolding": lambda seed: tensor_entries("orthogonal", seed, "unfolding"),
    "unfolding, zero": lambda seed: tensor_entries("orthogonal", seed, "zero"),
    "symmetric-unfolding": lambda seed: tensor_entries("two slices", seed, "symmetric program"),
    "symmetric-unfolding, four axes": lambda seed: tensor_entries("four axes", seed, "symmetric program"),
    "symmetric-unfolding, joint": lambda seed: tensor_entries("determinant", seed, "symmetric unfolding"),
    "symmetric-unfolding, random": lambda seed: tensor_entries("four axes", seed, "random multipliers"),
    "lines, squares": lambda seed: uneven_base(lambda: random_squares(seed, decay=0.5)),
    "lines, squares, two outputs and biases": lambda seed: uneven_base(lambda: random_squares(seed, 2, biases=True)),
    "lines, squares, huber": lambda seed: uneven_base(lambda: random_squares(seed, loss="huber")),
    "lines, three axes": lambda seed: uneven_base(lambda: random_tensor(seed, seen=0.8)),
    "lines, four axes": lambda seed: uneven_base(lambda: random_tensor(seed, order=4)),
    "cone-tree, leaky relu": lambda seed: sum_base("leaky relu, -0.3", seed, "cone-tree"),
    "sign-tree, leaky relu": lambda seed: sum_base("leaky relu, -0.3", seed, "signs"),
    "sign-tree, absolute value": lambda seed: sum_base("absolute value", seed, "signs", loss="huber"),
    "norm-products, leaky relu": lambda seed: sum_base("leaky relu, 1.7", seed, "norm-products"),
    "majorant, leaky relu": lambda seed: sum_base("leaky relu, 0.1", seed, "majorant"),
    "majorant, absolute value": lambda seed: sum_base("absolute value", seed, "first-order majorant", loss="huber"),
    "doubly-nonnegative, leaky relu": lambda seed: sum_base("leaky relu, 1.7", seed, "products"),
    "doubly-nonnegative, absolute value": lambda seed: sum_base("absolute value", seed, "products", loss="huber"),
    "doubly-nonnegative, relu + absolute value": lambda seed: sum_base("relu + absolute value", seed, "joint products"),
    "doubly-nonnegative, relu + linear": lambda seed: sum_base("relu + linear", seed, "joint products"),
    "doubly-nonnegative, convolution": lambda seed: sum_base("convolution, averaged", seed, "products"),
    "doubly-nonnegative, two convolutions": lambda seed: sum_base(
        "convolution, then convolution", seed, "random products"
    ),
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
    "three layers": lambda seed: deep_base("peeling", seed, Sketch((2, 2))),
    "three layers, joint": lambda seed: deep_base("joint peeling", seed, Sketch((2, 3))),
    "three layers, zero": lambda seed: deep_base("zero", seed, Sketch((2, 2))),
    "three layers, penalized biases": lambda seed: deep_base("peeling", seed, Sketch((2, 2), bias=True)),
    "three layers, two outputs": lambda seed: deep_base("peeling", seed, Sketch((2, 2)), 2),
    "three layers, absolute value": lambda seed: deep_base("peeling", seed, Sketch((1, 2), Absolute)),
    "three layers, leaky relu": lambda seed: deep_base("peeling", seed, Sketch((2, 1), lambda: nn.LeakyReLU(0.3))),
    "four layers": lambda seed: deep_base("peeling", seed, Sketch((2, 2, 2))),
    "three linear layers": lambda seed: deep_base("deep spectral", seed, Sketch((2, 2), nn.Identity), 2),
    "three layers of convolutions": lambda seed: Base(
        *certified(fitted(seed, convolutional(), (3, 1, 4), 1, 0.3), "peeling")
    ),
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
