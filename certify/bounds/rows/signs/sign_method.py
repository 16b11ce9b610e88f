"""The polar of rows with one score column by trees of signs, in principal axes of the rows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import SignTree
from certify.bounds.rows.kinked_scores import kinked_scores
from certify.bounds.rows.reduction import ReducedRows, reduce_rows
from certify.bounds.rows.responses import attained
from certify.bounds.rows.rows_form import rows_form
from certify.bounds.rows.signs.sign_bound import sign_tree_upper
from certify.bounds.rows.signs.sign_search import SignedSum, SignNodes, SignSearch
from certify.problem import Slopes
from certify.progress import Progress

# Beyond so many rows, cones and relaxations get the time.
MOST_ROWS = 48
# Nodes split at once, and all leaves.
BATCH, MOST_LEAVES = 256, 1 << 16
# Relative distance to the useful bound, so that rounding never exceeds it; and to a lower end beyond it.
SLACK, INTERVAL_TOLERANCE = 4e-9, 1e-6
# The column of a free bias in units of the longest row; what it costs of a bound is the inverse square of it.
FREE_UNITS = 1e4
# Maximizers of leaves of largest bound that are tried as witnesses.
WITNESSES = 32


def signs_apply(task: PolarTask) -> bool:
    """One score column, few enough rows, and one that is not zero."""
    view = task.branch.table
    return task.scores.shape[1] == 1 and len(view.rows) <= MOST_ROWS and bool(view.penalized.any())


def signs(task: PolarTask) -> PolarBound:
    """Both ends of the polar."""
    form, scores = rows_form(task), task.scores
    reduced = reduce_rows(form)
    if not bool(reduced.rows.isfinite().all() & scores.isfinite().all()):
        raise OverflowError("rows or scores are not finite")
    units = _power_of_two(reduced.rows), _power_of_two(scores)
    sums = [_signed_sum(reduced, form.slopes, sign * scores[:, 0], units) for sign in (1.0, -1.0)]
    useful, unit = task.target / units[0] / units[1] * (1 - SLACK), units[0] * units[1] / task.branch.strength
    searches = [SignSearch(own, useful) for own in sums]
    going = True
    while going and task.seconds_left > 0 and sum(map(len, (s.split_rows for s in searches))) < 2 * MOST_LEAVES:
        lower = max(search.lower for search in searches)
        goal = max(useful, lower * (1 + INTERVAL_TOLERANCE))
        going = sum(search.split(goal, BATCH) for search in searches) > 0
        upper = max(float(search.leaves.bounds.max()) for search in searches)
        task.listener(Progress("bounding", polar=(lower * unit, upper * unit), detail="signs of rows"))
    tree = _tree(reduced, searches, sums, units[1])
    stretch = float(sums[0].rows[0, -1] / reduced.rows[0, -1]) * units[0] if form.view.free_inputs else 1.0
    found = attained(task, reduced.lift(torch.cat([_directions(search, stretch) for search in searches])))
    return PolarBound(found.value, found.witness, sign_tree_upper(form, scores, tree), "signs", tree)


def _power_of_two(values: Tensor) -> float:
    """Power of two above the largest entry."""
    return math.ldexp(1.0, math.frexp(float(values.abs().max()))[1])


def _signed_sum(reduced: ReducedRows, slopes: Slopes, scores: Tensor, units: tuple[float, float]) -> SignedSum:
    """The sum for scores q (N,), rows and scores in their units."""
    rows, free = reduced.rows / units[0], reduced.free_axis is not None
    parts = kinked_scores(slopes, scores / units[1])
    lengths = torch.linalg.vector_norm(rows[:, :-1] if free else rows, dim=1)
    linear, largest = parts.linear @ rows, lengths.max()
    if free:
        rows = torch.cat([rows[:, :-1], torch.full_like(rows[:, :1], FREE_UNITS * float(largest))], 1)
        lengths, linear = lengths + largest, torch.cat([linear[:-1], torch.zeros_like(linear[:1])])
    return SignedSum(rows, parts.rectified, linear, lengths, math.sqrt(1 + FREE_UNITS**-2) if free else 1.0)


def _directions(search: SignSearch, stretch: float) -> Tensor:
    """The best one seen, and where bounds of leaves are largest, (s, k), the last coordinate as in reduced rows."""
    leaves = search.leaves
    top = leaves.bounds.topk(min(WITNESSES, len(leaves))).indices
    found = torch.cat([search.witness[None], leaves.maximizers[top]])
    found[:, -1] *= stretch
    return found


def _tree(reduced: ReducedRows, searches: list[SignSearch], sums: list[SignedSum], unit: float) -> SignTree:
    """Both trees in preorder."""
    splits: list[int] = []
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for search, own in zip(searches, sums, strict=True):
        order = list(_preorder(search))
        splits.extend(search.split_rows[place] for place in order)
        nodes, leaves = SignNodes.joined([search.leaves, search.void]), len(search.leaves)
        is_void = torch.arange(len(nodes), device=nodes.places.device) >= leaves
        alpha = nodes.x * torch.where(is_void[:, None], 1.0, own.bent.abs() * unit)
        given = torch.where(own.bent > 0, 0.5, nodes.x)
        multipliers = torch.where(nodes.signs != 0, alpha, torch.where(is_void[:, None], 0.0, given))
        ends = [place for place in order if search.split_rows[place] < 0]
        ranks = torch.full((len(search.split_rows) + 1,), -1, device=nodes.places.device)
        ranks[ends] = sum(len(part[0]) for part in parts) + torch.arange(len(ends), device=ranks.device)
        chosen = ranks[nodes.places].argsort()
        parts.append((nodes.signs[chosen], multipliers[chosen], ranks[nodes.voids[chosen]]))
    signs, multipliers, voids = (torch.cat(columns) for columns in zip(*parts, strict=True))
    negated = torch.arange(len(signs), device=signs.device) >= len(parts[0][0])
    center = reduced.center[: len(reduced.center) - 1 if reduced.free_axis is not None else 0]
    return SignTree(tuple(splits), negated, signs, multipliers, voids, center, FREE_UNITS**-2)


def _preorder(search: SignSearch) -> Iterator[int]:
    """Places of all nodes, the first child before the second."""
    stack = [0]
    while stack:
        place = stack.pop()
        yield place
        if search.split_rows[place] >= 0:
            stack.extend(reversed(search.children[place]))
