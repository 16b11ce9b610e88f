"""Search of max T(u_1, …, u_K) over N_k(u_k) ≤ 1 and cones, for tensors of three or four axes on given entries.

With all other factors fixed, the best two are the top singular pair of a matrix, which pairs of axes take by turns from
many starts at once; where that matrix is large, or a norm is not Euclidean, one factor moves at a time (De Lathauwer,
De Moor and Vandewalle 2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import normalize

from certify.bounds.multilinear.entry_form import entry_form
from certify.bounds.polar import PolarEstimate, PolarTask
from certify.bounds.singular_pairs import WITNESSES
from certify.problem import EUCLIDEAN, Entries, Factors, Multilinear, SideNorm

# Random starts beside the given ones, of which so many of the best go on.
RANDOM_STARTS, KEPT_STARTS = 24, 8
FIRST_SWEEPS, MOST_SWEEPS = 3, 100
# Sweeps end when none of the values rises by this share.
LEAST_RISE = 1e-13
# Starts whose terms have at least this cosine have met.
SAME = 1 - 1e-6
# Numbers of the matrices whose singular pairs are taken at once.
LARGEST_PAIRS = 2**21


def tensor_search(task: PolarTask) -> PolarEstimate:
    """The largest value found, with the terms that attain it and other local maxima."""
    form = entry_form(task)
    tensor = _Tensor(form.entries, form.values(task.scores), form.sides)
    if not bool(tensor.values.any()):
        return PolarEstimate(0.0, task.nothing)
    factors = _starts(task, form)
    factors = _best(tensor, _swept(tensor, factors, FIRST_SWEEPS, task), KEPT_STARTS)
    factors = _best(tensor, _swept(tensor, factors, MOST_SWEEPS, task), WITNESSES)
    return PolarEstimate(float(tensor.at(factors)[0]), factors)


@final
@dataclass(frozen=True, slots=True)
class _Tensor:
    """Values (N,) on entries, and the norm of every factor."""

    entries: Entries
    values: Tensor
    sides: tuple[SideNorm, ...]

    def at(self, factors: Factors) -> Tensor:
        """T(u_1, …, u_K) for each of (s, n_k), (s,)."""
        return self.along((0,), factors)[:, :, 0].mul(factors[0]).sum(1)

    def along(self, axes: tuple[int, ...], factors: Factors) -> Tensor:
        """What is left along one axis or two with the other factors (s, n_k) put in, (s, n, m); m = 1 for one."""
        entries, count = self.entries, len(factors[0])
        extents = [entries.shape[axis] for axis in axes] + [1] * (2 - len(axes))
        found = self.values.new_zeros(extents[0] * extents[1], count)
        for chosen in entries.chunks(count):
            weights = self.values[chosen, None].expand(-1, count)
            for axis, factor in enumerate(factors):
                if axis not in axes:
                    weights = weights * factor.T[entries.indices[chosen, axis]]
            place = entries.indices[chosen, axes[0]] * extents[1]
            place = place + entries.indices[chosen, axes[1]] if len(axes) > 1 else place
            found.index_add_(0, place, weights)
        return found.T.reshape(count, *extents)


def _starts(task: PolarTask, form: Multilinear) -> Factors:
    generator = torch.Generator().manual_seed(task.seed)
    like = task.scores
    found = []
    for place, (extent, side) in enumerate(zip(form.entries.shape, form.sides, strict=True)):
        drawn = torch.randn(RANDOM_STARTS, extent, generator=generator, dtype=torch.float64).to(like)
        given = [stack[place] for stack in (task.starts, task.network) if stack]
        found.append(torch.cat([*given, drawn.abs() if side.nonnegative else drawn]))
    alive = torch.stack([factor.abs().amax(1) > 0 for factor in found]).all(0)
    pairs = zip(found, form.sides, strict=True)
    return tuple(factor[alive] / side.norm(factor[alive])[:, None] for factor, side in pairs)


def _swept(tensor: _Tensor, factors: Factors, sweeps: int, task: PolarTask) -> Factors:
    order = len(factors)
    pairs = ((0, 1), (2, 3), (1, 2), (3, 0)) if order > 3 else ((0, 1), (1, 2), (2, 0))
    value = tensor.at(factors)
    for _ in range(sweeps):
        for axes in pairs:
            factors = _moved(tensor, factors, axes)
        before, value = value, tensor.at(factors)
        if task.seconds_left == 0 or not bool((value > before.abs() * (1 + LEAST_RISE)).any()):
            break
    return factors


def _moved(tensor: _Tensor, factors: Factors, axes: tuple[int, int]) -> Factors:
    """The factors with the best ones along two axes."""
    shape = tensor.entries.shape
    found = list(factors)
    round_ = all(tensor.sides[axis] == EUCLIDEAN for axis in axes)
    if round_ and shape[axes[0]] * shape[axes[1]] * len(factors[0]) <= LARGEST_PAIRS:
        left, _, right = torch.linalg.svd(tensor.along(axes, factors), full_matrices=False)
        found[axes[0]], found[axes[1]] = left[:, :, 0], right[:, 0]
        return tuple(found)
    for axis in axes:
        moved = tensor.along((axis,), tuple(found))[:, :, 0]
        best = tensor.sides[axis].maximizer(moved)
        found[axis] = torch.where(best.abs().amax(1, keepdim=True) > 0, best, found[axis])
    return tuple(found)


def _best(tensor: _Tensor, factors: Factors, count: int) -> Factors:
    """So many of the largest values, best first, each term once."""
    order = tensor.at(factors).argsort(descending=True)
    factors = tuple(factor[order].contiguous() for factor in factors)
    cosines = torch.ones(len(order), len(order)).to(factors[0])
    for factor in factors:
        units = normalize(factor, dim=1)
        cosines = cosines * (units @ units.T)
    chosen: list[int] = []
    for start in range(len(order)):
        if not any(float(cosines[start, other]) >= SAME for other in chosen):
            chosen.append(start)
    return tuple(factor[chosen[:count]] for factor in factors)
