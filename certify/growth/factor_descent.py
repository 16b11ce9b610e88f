"""Growth of factorizations: new terms by one step along their sum, then alternating least squares or L-BFGS.

For the squared error every factor is the solution of one ridge regression for each place, given the others,

    minimize over u   Σ_e ω_e (f_e·u + rest_e − y_e)² + (λ/2)|u|²,   f_e = a_e Π_{l ≠ k} u_l[i_l],

with the balanced penalty λ |u||v| = (λ/2)(|u|² + |v|²) at equal norms (Hastie, Mazumder, Lee and Zadeh 2015); biases
likewise. It needs two factors: with more the balanced penalty is no square.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from certify.growth.balance import balanced, rescaled
from certify.growth.descent import descend
from certify.growth.directions import joined, subnetworks_of
from certify.problem import Entries, Factors, Objective, ParallelNetwork
from certify.problem.groups import Groups
from certify.problem.losses.mean_squared_error import MeanSquaredError

# Sweeps end when one gains less than this share of the objective.
LEAST_GAIN = 1e-9
# Entries of padded systems that are held at once.
HELD = 2**23
# Steps along new terms are looked for up to this multiple of the first guess.
LARGEST_STEP = 64.0


def grows_by_factors(objective: Objective) -> bool:
    """Whether the objective is that of a factorization."""
    return len(objective.branches) == 1 and isinstance(objective.branches[0].view, Entries)


def factors_descended(
    objective: Objective, network: ParallelNetwork, directions: tuple[Factors, ...], deadline: float, steps: int
) -> ParallelNetwork:
    """A network with these terms added and all of them moved, whose objective is not higher.

    Directions have θ = 1 and are stacked, (s, ·); s may be 0. Stops at the deadline in `time.perf_counter()`.
    """
    wide = _with_terms(objective, network, directions[0]) if len(directions[0][0]) else network
    squares = isinstance(objective.loss, MeanSquaredError) and len(objective.branches[0].kind.degrees) == 2
    moved = _alternated(objective, wide, deadline, steps) if squares else descend(objective, wide, deadline, steps)
    return min((network, wide, moved), key=lambda candidate: objective.evaluate(candidate).objective)


def _with_terms(objective: Objective, network: ParallelNetwork, directions: Factors) -> ParallelNetwork:
    """The network with a multiple of Σ_i (<−A, φ_i> − λ)₊ φ_i added, the best one."""
    branch, stack = objective.branches[0], network.stacks[0]
    base = objective.forward(network)
    pull = (branch.pairing(objective.loss.gradient(base), directions) - branch.strength).clamp_min(0)
    if not bool(pull.any()):
        return network
    sizes = pull / pull.sum()
    ray = branch.forward((directions[0] * sizes[:, None], *directions[1:]))

    def value(step: float) -> float:
        return float(objective.loss.value_terms(base + step * ray).sum()) + branch.strength * step

    curvature = float((objective.loss.weights * ray**2).sum()) * objective.loss.curvature
    guess = float((pull * sizes).sum()) / max(curvature, 1e-300)
    bounds = (0.0, LARGEST_STEP * guess)
    step = float(minimize_scalar(value, bounds=bounds, method="bounded", options={"xatol": 1e-3 * guess}).x)
    added = subnetworks_of(branch, directions, step * sizes)
    return replace(network, stacks=(joined(stack, tuple(f[sizes > 0] for f in added)),))


def _alternated(objective: Objective, network: ParallelNetwork, deadline: float, sweeps: int) -> ParallelNetwork:
    """Sweeps over the factors and the biases."""
    branch = objective.branches[0]
    view = branch.view
    if not isinstance(view, Entries):
        raise TypeError("no entries")
    factors = list(rescaled(branch, network.stacks[0], (1.0,) * len(network.stacks[0])))
    coefficients, plans = network.coefficients, [_Buckets(view.indices[:, k], view.shape[k]) for k in range(2)]
    best = float("inf")
    for _ in range(sweeps):
        if time.perf_counter() > deadline:
            break
        outside = objective.convex.outputs(coefficients)
        outside = outside if objective.offset is None else outside + objective.offset
        for axis, plan in enumerate(plans):
            other = factors[1 - axis]
            wanted = (objective.loss.targets - outside)[:, 0]
            factors[axis] = _ridge(objective, view, plan, 1 - axis, other, wanted)
        product = view.sums(tuple(factors))[:, None]
        coefficients = _with_biases(objective, coefficients, product)
        value = _balanced_value(objective, factors, coefficients, product)
        if not value < best * (1 - LEAST_GAIN):
            break
        best = value
    return balanced(objective, ParallelNetwork((tuple(factors),), coefficients))


def _balanced_value(objective: Objective, factors: list[Tensor], coefficients: Tensor, product: Tensor) -> float:
    outputs = product + objective.convex.outputs(coefficients)
    outputs = outputs if objective.offset is None else outputs + objective.offset
    squares = sum(float((f**2).sum()) for f in factors)
    ridge = float((objective.convex.ridge[:, None] / 2 * coefficients**2).sum())
    return float(objective.loss.value_terms(outputs).sum()) + objective.branches[0].strength / 2 * squares + ridge


class _Buckets:
    """Entries by their place along an axis: places with similar numbers of entries together, padded to the same."""

    def __init__(self, index: Tensor, extent: int) -> None:
        order = torch.argsort(index, stable=True)
        counts = torch.bincount(index, minlength=extent)
        starts = torch.cumsum(counts, 0) - counts
        self.order, self.counts, self.starts, self.extent = order, counts, starts, extent
        self.by_size = torch.argsort(counts, descending=True)

    def __call__(self, width: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Places (b,), their entries (b, l), and which of these are there (b, l), for systems of a width."""
        at = 0
        while at < self.extent and int(self.counts[self.by_size[at]]) > 0:
            longest = int(self.counts[self.by_size[at]])
            size = max(HELD // (longest * max(width, 1)), 1)
            places = self.by_size[at : at + size]
            places = places[self.counts[places] > longest // 2]
            offsets = torch.arange(longest, device=places.device)
            there = offsets < self.counts[places, None]
            entries = self.order[(self.starts[places, None] + offsets).clamp_max(len(self.order) - 1)]
            yield places, entries, there
            at += len(places)


def _ridge(objective: Objective, view: Entries, plan: _Buckets, other: int, factor: Tensor, wanted: Tensor) -> Tensor:
    """The best factor (r, n) for targets (N,), given that along the other axis (r, m)."""
    width = len(factor)
    found = factor.new_zeros(plan.extent, width)
    identity = objective.branches[0].strength * torch.eye(width, dtype=factor.dtype, device=factor.device)
    rows, weights = factor.T.contiguous(), 2 * objective.loss.weights[:, 0]
    for places, entries, there in plan(width):
        features = rows[view.indices[entries, other]]
        if view.coefficients is not None:
            features = features * view.coefficients[entries, None]
        features = features * there[:, :, None]
        pulled = features * weights[entries, None]
        system = pulled.transpose(1, 2) @ features + identity
        right = (pulled.transpose(1, 2) @ wanted[entries, None])[:, :, 0]
        found[places] = torch.linalg.solve(system, right)
    return found.T.contiguous()


def _with_biases(objective: Objective, coefficients: Tensor, product: Tensor) -> Tensor:
    """One sweep over the bias of all entries and those of the groups, given the product (N, 1)."""
    convex, weights = objective.convex, 2 * objective.loss.weights
    if not len(convex.ridge):
        return coefficients
    found = coefficients.clone()
    base = objective.loss.targets - product
    base = base if objective.offset is None else base - objective.offset
    dense = convex.features.shape[1]
    parts: list[tuple[slice, Groups | None]] = [(slice(j, j + 1), None) for j in range(dense)]
    for group in convex.groups:
        parts.append((slice(dense, dense + group.count), group))
        dense += group.count
    for place, owner in parts:
        rest = base - convex.outputs(found)
        column = convex.features[:, place] if owner is None else None
        bend = (weights * column**2).sum(0, keepdim=True) if column is not None else _sums(owner, weights)
        pull = (weights * column * rest).sum(0, keepdim=True) if column is not None else _sums(owner, weights * rest)
        bend = bend + convex.ridge[place, None]
        step = (pull - convex.ridge[place, None] * found[place]) / torch.where(bend > 0, bend, 1.0)
        found[place] = found[place] + step
    return found


def _sums(group: Groups | None, values: Tensor) -> Tensor:
    if group is None:
        raise TypeError("no groups")
    return group.sums(values)
