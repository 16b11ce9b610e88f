"""One-output ReLU problems solved by another solver: the convex program over all activation patterns.

    min over a_k, b_k   l(Σ D_k H (a_k − b_k) + 1 β) + λ Σ (|a_k| + |b_k|) + ridge,   (2 D_k − I) H a_k, b_k ≥ 0

(Pilanci and Ergen 2020, Theorem 1), D_k all patterns of 1[H u > 0], H = X with a column of ones where the hidden layer
has a bias, which is left out of the norms if it is free. Its value is the optimum over all widths.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import comb

import cvxpy
import numpy as np
from numpy.random import Generator

from .planted import Array
from .two_layers import TwoLayers, Weights

LOSSES = ("mse", "huber", "binary-cross-entropy", "soft-margin", "squared-hinge", "poisson")
# What the solver may be off by, in units of 1 + |optimum|.
SOLVER_ERROR = 1e-6
NUDGE = 1e-4
NEURON_FLOOR = 1e-7


def all_patterns(rows: Array) -> Array:
    """1[H u > 0] for all cells of the arrangement; every cell of distinct rows in general position has an extreme ray.

    The count is that of Cover (1965), which proves that none is missing.
    """
    coordinates = rows @ np.linalg.svd(rows, full_matrices=False)[2][: np.linalg.matrix_rank(rows)].T
    distinct, back = np.unique(coordinates, axis=0, return_inverse=True)
    n, d = distinct.shape
    found = set()
    for chosen in itertools.combinations(range(n), min(n, d) - 1):
        own = distinct[list(chosen)]
        ray = np.linalg.svd(own)[2][-1] if chosen else np.ones(d)
        for sign, *signs in itertools.product((1.0, -1.0), repeat=len(chosen) + 1):
            push = np.linalg.lstsq(own, np.array(signs), rcond=None)[0] if chosen else 0.0
            others = np.abs(np.delete(distinct @ ray, chosen))
            step = NUDGE * min(1.0, float(others.min(initial=1.0))) / (1 + np.abs(distinct @ (push + 0 * ray)).max())
            values = distinct @ (sign * ray + step * push)
            found.add(tuple(values > 0))
    expected = 2 * sum(comb(n - 1, k) for k in range(d))
    if len(found) != expected:
        raise ValueError(f"{len(found)} patterns, {expected} in general position")
    return np.array(sorted(found), dtype=float)[:, back.reshape(-1)]


def solved(problem: TwoLayers) -> tuple[float, Weights]:
    """The optimum over all widths, up to the solver, with weights that attain it nearly."""
    inputs, policy = problem.inputs, problem.hidden
    hidden = inputs if policy == "absent" else np.column_stack([inputs, np.ones(len(inputs))])
    normed = inputs.shape[1] if policy == "free" else hidden.shape[1]
    patterns = all_patterns(hidden)
    k, d = len(patterns), hidden.shape[1]
    plus, minus, output = cvxpy.Variable((k, d)), cvxpy.Variable((k, d)), cvxpy.Variable()
    z = cvxpy.sum(cvxpy.multiply(patterns.T, hidden @ (plus - minus).T), axis=1) + output
    norms = cvxpy.sum(cvxpy.norm(plus[:, :normed], axis=1)) + cvxpy.sum(cvxpy.norm(minus[:, :normed], axis=1))
    cost = _loss(problem, z) + problem.strength * norms
    constraints = [cvxpy.multiply(2 * patterns.T - 1, hidden @ half.T) >= 0 for half in (plus, minus)]
    match problem.output:
        case "absent":
            constraints.append(output == 0)
        case "penalized":
            cost = cost + problem.strength / 2 * cvxpy.square(output)
    value = cvxpy.Problem(cvxpy.Minimize(cost), constraints).solve(solver="CLARABEL")
    return float(value), _weights(plus.value, minus.value, float(output.value), normed, inputs.shape[1])


def _weights(plus: Array, minus: Array, output: float, normed: int, d: int) -> Weights:
    blocks, signs = np.concatenate([plus, minus]), np.repeat([1.0, -1.0], len(plus))
    sizes = np.linalg.norm(blocks[:, :normed], axis=1)
    kept = sizes > NEURON_FLOOR
    if not kept.any():
        kept[:1] = True
        blocks, sizes = 0 * blocks, np.where(kept, 1.0, sizes)
        signs = 0 * signs
    roots = np.sqrt(sizes[kept])[:, None]
    first = blocks[kept] / roots
    bias = first[:, d] if blocks.shape[1] > d else np.zeros(len(first))
    return Weights(first[:, :d], bias, signs[kept, None] * roots * (sizes[kept, None] > 0), np.array([output]))


def _loss(problem: TwoLayers, z: cvxpy.Expression) -> cvxpy.Expression:
    y = problem.targets[:, 0]
    terms = {
        "mse": lambda: cvxpy.square(z - y),
        "huber": lambda: cvxpy.huber(z - y) / 2,
        "binary-cross-entropy": lambda: cvxpy.logistic(z) - cvxpy.multiply(y, z),
        "soft-margin": lambda: cvxpy.logistic(-cvxpy.multiply(y, z)),
        "squared-hinge": lambda: cvxpy.square(cvxpy.pos(1 - cvxpy.multiply(y, z))),
        "poisson": lambda: cvxpy.exp(z) - cvxpy.multiply(y, z),
    }[problem.loss]()
    return problem.omega()[:, 0] @ terms


def cells_instance(rng: Generator, loss: str, hidden: str, output: str) -> TwoLayers:
    """One random problem, n ≤ 8 and at most 3 dimensions; samples may be doubled, inputs of deficient rank."""
    n, d = int(rng.integers(2, 9)), int(rng.integers(1, 4 - (hidden != "absent")))
    inputs = rng.standard_normal((n, d))
    if d > 1 and rng.random() < 0.2:
        inputs = np.outer(inputs[:, 0], rng.standard_normal(d))
    if rng.random() < 0.2:
        inputs = inputs[rng.integers(0, n, n)]
    targets = {
        "binary-cross-entropy": lambda: rng.choice([0.0, 1.0, rng.uniform()], (n, 1)),
        "soft-margin": lambda: rng.choice([-1.0, 1.0], (n, 1)),
        "squared-hinge": lambda: rng.choice([-1.0, 1.0], (n, 1)),
        "poisson": lambda: rng.poisson(1.5, (n, 1)).astype(float),
    }.get(loss, lambda: 2 * rng.standard_normal((n, 1)))()
    weights = rng.choice([0.0, 0.5, 1.0, 2.0], n, p=[0.1, 0.3, 0.3, 0.3]) if rng.random() < 0.3 else None
    weights = None if weights is None or not weights.any() else weights
    scale, reduction = float(10 ** rng.uniform(-1, 1)), str(rng.choice(["mean", "sum"]))
    problem = TwoLayers(inputs, targets, loss, reduction, scale, 1.0, hidden, output, weights)
    size = float((problem.omega() * (np.abs(targets) + 0.1)).sum() * np.abs(inputs).max())
    return replace(problem, strength=size * float(10 ** rng.uniform(-2.5, -0.2)))
