"""Lower ends of the polar of rows by search: given, data-driven and random starts, and `direction_search` from them."""

from __future__ import annotations

import torch
from torch import Tensor

from certify.bounds.polar import PolarEstimate, PolarTask
from certify.bounds.rows.direction_search import POLISHED, DirectionSearch, leaders
from certify.bounds.rows.reduction import ReducedRows, reduce_rows
from certify.bounds.rows.responses import attained
from certify.bounds.rows.rows_form import rows_form
from certify.bounds.rows.sorting import sorting_applies, sorting_bound

RANDOM_STARTS = 256


def rows_search(task: PolarTask) -> PolarEstimate:
    """Best subnetworks by sorting, which is exact, or else by ascent."""
    return sorting_bound(task).estimate if sorting_applies(task) else ascent(task)


def ascent(task: PolarTask) -> PolarEstimate:
    """Best subnetworks found from given, data-driven and random starts."""
    form = rows_form(task)
    reduced, scores = reduce_rows(form), task.scores
    search = DirectionSearch(reduced.rows, scores, form.slopes, reduced.free_axis, task.deadline)
    found = search.polish_phase(search.gradient_phase(_starts(task, reduced, scores)))
    chosen = leaders(found, search.values(found))[: POLISHED * 2]
    return attained(task, reduced.lift(found[chosen]))


def _starts(task: PolarTask, reduced: ReducedRows, scores: Tensor) -> Tensor:
    """Own subnetworks, rows of largest |S_i||h_i| with both signs, and random directions; (s, k)."""
    rows = reduced.rows
    generator = torch.Generator().manual_seed(task.seed)
    random = torch.randn(RANDOM_STARTS, rows.shape[1], generator=generator, dtype=rows.dtype).to(rows.device)
    weight = torch.linalg.vector_norm(scores, dim=1) * torch.linalg.vector_norm(rows, dim=1)
    heavy = rows[weight.argsort(descending=True)[: RANDOM_STARTS // 4]]
    own = reduced.lower(task.starts[0]) if len(task.starts[0]) else rows[:0]
    return torch.cat([own, heavy, -heavy, random])
