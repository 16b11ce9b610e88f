"""Witnesses of a bilinear form under any norms: u ← argmax uᵀG v, v ← argmax uᵀG v in turn, from many starts.

Values never fall from one turn to the next.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.bounds.bilinear.coupling import Norms, coupling_of, norms_of
from certify.bounds.polar import PolarEstimate, PolarTask
from certify.bounds.singular_pairs import Matrix
from certify.problem import Factors

# Most witnesses returned; growth may add several at once.
WITNESSES = 24
# Starts at random, along singular pairs, and turns of each.
RANDOM_STARTS, PAIRS, TURNS = 64, 16, 60
# Starts whose values agree to this share count as one witness.
SAME = 1e-9


def alternating_search(task: PolarTask) -> PolarEstimate:
    """The best witnesses found; with a norm l1 of one factor the best of each of its vertices."""
    norms, moments = norms_of(task), coupling_of(task.branch, task.scores)
    if norms.left.is_l1:
        first, second = at_vertices(norms, moments)
    elif norms.right.is_l1:
        second, first = at_vertices(Norms(norms.right, norms.left), moments.T)
    else:
        return alternated(task, moments, torch.linalg.svd(moments, full_matrices=False).Vh[:PAIRS])
    return _best(moments, (first, second), 0.0, task.nothing)


def alternated(task: PolarTask, moments: Matrix | Tensor, right: Tensor) -> PolarEstimate:
    """The best witnesses found from right singular vectors of G (k, m), and from others."""
    norms = norms_of(task)
    found = _turned(norms, moments, _starts(task, norms, right))
    return _best(moments, found, SAME, task.nothing)


def at_vertices(norms: Norms, moments: Tensor) -> Factors:
    """For each vertex ±e_i of the left ball, + alone in the cone, the best v."""
    units = torch.eye(len(moments), dtype=moments.dtype, device=moments.device) / norms.left.l1
    if not norms.left.nonnegative:
        units = torch.cat([units, -units])
    return units, norms.right.maximizer(units @ moments)


def _starts(task: PolarTask, norms: Norms, right: Tensor) -> Tensor:
    """Right factors to start from, (k, m)."""
    generator = torch.Generator().manual_seed(task.seed)
    m = right.shape[1]
    drawn = torch.randn(RANDOM_STARTS, m, generator=generator, dtype=torch.float64).to(right)
    starts = torch.cat([right, -right, drawn, task.starts[1].reshape(-1, m)])
    return torch.cat([starts, starts.abs()]) if norms.right.nonnegative else starts


def _turned(norms: Norms, moments: Matrix | Tensor, second: Tensor) -> Factors:
    for _ in range(TURNS):
        first = norms.left.maximizer((moments @ second.T).T)
        before, second = second, norms.right.maximizer((moments.T @ first.T).T)
        if torch.equal(before, second):
            break
    return first, second


def _best(moments: Matrix | Tensor, found: Factors, alike: float, nothing: Factors) -> PolarEstimate:
    """The largest values first, each once up to a share by which they count as alike."""
    first, second = found
    values = ((moments.T @ first.T).T * second).sum(1)
    order = values.argsort(descending=True)
    order = order[values[order] > 0]
    if not len(order):
        return PolarEstimate(0.0, nothing)
    ordered = values[order]
    fresh = torch.ones_like(order, dtype=torch.bool)
    fresh[1:] = ordered[:-1] - ordered[1:] >= alike * ordered[:-1]
    order = order[fresh][:WITNESSES]
    return PolarEstimate(float(values[order[0]]), (first[order], second[order]))
