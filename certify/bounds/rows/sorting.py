"""Exact polar of rows with one input and a free hidden bias, by one sort and running sums.

A neuron is σ(±(x − t)) times any scale, t real, and σ(t) = (s₊ − s₋) relu(t) + s₋ t. With 1ᵀS = 0, sample by sample,

    Ω°(Q) = max over both signs and all t of |(s₊ − s₋) r±(t) ± s₋ Σ_j S_j x_j|,   r±(t) = Σ_j S_j relu(±(x_j − t)).

*Where the maximum is.* Between neighboring samples no relu changes its branch, so r± is affine in t there and the norm
is convex: over that closed interval it is largest at an end. Outside the range of the samples r± is constant: on one
side no sample is active, and on the other all are, where r± = ±Σ_j S_j (x_j − t) = ±Σ_j S_j x_j does not depend on t as
1ᵀS = 0. So t may be taken among the samples (for scalar outputs: Savarese, Evron, Soudry and Srebro 2019).

*Sums.* With samples in ascending order and C_k = S_1 + … + S_k, r−(x_1) = 0 and r−(x_{k+1}) = r−(x_k) +
C_k (x_{k+1} − x_k), which ends at −Σ_j S_j x_j; r+ is the same of −x. O(n log n). Running sums err by at most
γ Σ|terms| (Higham 2002).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import Recomputed
from certify.bounds.rounding import SLACK, gamma
from certify.bounds.rows.responses import attained
from certify.bounds.rows.rows_form import rows_form
from certify.problem import Slopes

# Local maxima over the breakpoints returned as witnesses; growth adds them together.
WITNESSES = 16


def sorting_applies(task: PolarTask) -> bool:
    """Whether there is one input, and beside it a bias that is free."""
    view = task.branch.table
    return view.free_inputs == 1 and view.rows.shape[1] == 2


def sorting_bound(task: PolarTask, dual: Tensor | None = None) -> PolarBound:
    """Both ends of the polar at the task's dual point, or at another; they differ by rounding only."""
    task = task if dual is None else replace(task, dual=dual)
    form, scores = rows_form(task), task.scores
    positions = form.view.rows[:, 0]
    found, rows, upper = [], [], 0.0
    for sign in (1.0, -1.0):
        breakpoints, sizes, errors = _sweep(-sign * positions, scores, form.slopes)
        upper = max(upper, float((sizes + errors).max()))
        peaks = _local_maxima(sizes)
        found.append(sizes[peaks])
        rows.append(torch.stack([torch.full_like(found[-1], sign), breakpoints[peaks]], 1))
    # Re-evaluated on the inputs as given, so that the value is attained.
    best = attained(task, torch.cat(rows)[torch.cat(found).argsort(descending=True)[:WITNESSES]])
    return PolarBound(best.value, best.witness, max(upper, best.value), "sorting", Recomputed("sorting"))


def _sweep(positions: Tensor, scores: Tensor, slopes: Slopes) -> tuple[Tensor, Tensor, Tensor]:
    """Breakpoints t in ascending order, |Σ_j S_j σ(t − x_j)| there, and bounds on the errors; (n,) each."""
    order = positions.argsort()
    breakpoints, sorted_scores = positions[order], scores[order]
    terms = 2 * (len(positions) + scores.shape[1]) + 20
    gaps = breakpoints.diff()
    start = scores.new_zeros(1, scores.shape[1])
    response = torch.cat([start, (sorted_scores.cumsum(0)[:-1] * gaps[:, None]).cumsum(0)])
    masses = torch.linalg.vector_norm(sorted_scores, dim=1).cumsum(0)[:-1]
    reach = torch.cat([start[0, :1], (masses * gaps).cumsum(0)])
    # The linear part is −s₋ Σ_j S_j x_j, in which t does not appear.
    response = slopes.bend * response + slopes.negative * response[-1:]
    reach = abs(slopes.bend) * reach + abs(slopes.negative) * reach[-1:]
    sizes = torch.linalg.vector_norm(response, dim=1)
    return breakpoints, sizes, reach * (gamma(terms) * SLACK) + sizes * gamma(terms)


def _local_maxima(values: Tensor) -> Tensor:
    """Indices of the largest local maxima, at most `WITNESSES`; of equal neighbors the first counts."""
    edge = values.new_full((1,), -torch.inf)
    rises, falls = values > torch.cat([edge, values[:-1]]), values >= torch.cat([values[1:], edge])
    peaks = (rises & falls).nonzero()[:, 0]
    return peaks[values[peaks].argsort(descending=True)[:WITNESSES]]
