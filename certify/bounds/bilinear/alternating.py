"""Witnesses of a bilinear form under any norms: u ← argmax uᵀG v, v ← argmax uᵀG v in turn, from many starts.

Values never fall from one turn to the next.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.bounds.bilinear.bilinear_form import bilinear_form
from certify.bounds.bilinear.moments import moments_of
from certify.bounds.polar import PolarEstimate, PolarTask
from certify.problem import Bilinear, Factors

# Most witnesses returned; growth may add several at once.
WITNESSES = 24
# Starts at random, along singular pairs, and turns of each.
RANDOM_STARTS, PAIRS, TURNS = 64, 16, 60
# Starts whose values agree to this share count as one witness.
SAME = 1e-9


def alternating_search(task: PolarTask) -> PolarEstimate:
    """The best witnesses found; with a norm l1 of one factor the best of each of its vertices."""
    form = bilinear_form(task)
    moments = moments_of(form.view.rows, task.scores)
    if form.left.is_l1:
        first, second = at_vertices(form, moments)
    elif form.right.is_l1:
        flipped = Bilinear(form.view, form.right, form.left)
        second, first = at_vertices(flipped, moments.T)
    else:
        first, second = _turned(form, moments, _starts(task, form, moments))
    alike = 0.0 if form.left.is_l1 or form.right.is_l1 else SAME
    return _best(moments, (first, second), alike, task.nothing)


def at_vertices(form: Bilinear, moments: Tensor) -> Factors:
    """For each vertex ±e_i of the left ball, + alone in the cone, the best v."""
    units = torch.eye(len(moments), dtype=moments.dtype, device=moments.device) / form.left.l1
    if not form.left.nonnegative:
        units = torch.cat([units, -units])
    return units, form.right.maximizer(units @ moments)


def _starts(task: PolarTask, form: Bilinear, moments: Tensor) -> Tensor:
    """Right factors to start from, (k, m)."""
    generator = torch.Generator().manual_seed(task.seed)
    m = moments.shape[1]
    drawn = torch.randn(RANDOM_STARTS, m, generator=generator, dtype=torch.float64).to(moments)
    right = torch.linalg.svd(moments, full_matrices=False).Vh[:PAIRS]
    starts = torch.cat([right, -right, drawn, task.starts[1].reshape(-1, m)])
    return torch.cat([starts, starts.abs()]) if form.right.nonnegative else starts


def _turned(form: Bilinear, moments: Tensor, second: Tensor) -> Factors:
    for _ in range(TURNS):
        first = form.left.maximizer(second @ moments.T)
        before, second = second, form.right.maximizer(first @ moments)
        if torch.equal(before, second):
            break
    return first, second


def _best(moments: Tensor, found: Factors, alike: float, nothing: Factors) -> PolarEstimate:
    """The largest values first, each once up to a share by which they count as alike."""
    first, second = found
    values = ((first @ moments) * second).sum(1)
    order = values.argsort(descending=True)
    order = order[values[order] > 0]
    if not len(order):
        return PolarEstimate(0.0, nothing)
    ordered = values[order]
    fresh = torch.ones_like(order, dtype=torch.bool)
    fresh[1:] = ordered[:-1] - ordered[1:] >= alike * ordered[:-1]
    order = order[fresh][:WITNESSES]
    return PolarEstimate(float(values[order[0]]), (first[order], second[order]))
