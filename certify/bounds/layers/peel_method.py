"""The polar of deep subnetworks by peeling: multipliers searched, what is left bounded by cones or by norms.

Every scale of a dual point gives a bound, so that multipliers found together with the dual point, and those found at it
alone, prove the same kind of statement.
"""

from __future__ import annotations

import math
import time
from typing import final

import torch
from torch import Tensor

from certify.bounds.layers.chain import Chain, Peels
from certify.bounds.layers.links import Averaged, Convolution, Dense, FixedMap, Link
from certify.bounds.layers.multipliers import DualProblem, PeelOutcome, PeelTask, best_multipliers, joint_multipliers
from certify.bounds.layers.peeled_scores import PeeledScores
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import ConeCover, Peeled, PeeledEnd
from certify.bounds.rows.cones.cone_method import LARGEST_DIMENSION
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.cones.cones import cone_maximum
from certify.bounds.rows.reduction import reduce_rows, reduced_dimension
from certify.bounds.rows.relaxations.dual_chart import dual_chart
from certify.problem import Layers, Rows
from certify.problem.dual import InfeasibleDualError, feasible_dual
from certify.problem.path import Hop

# Share of the time that multipliers get; cones get the rest.
SEARCH_SHARE = 0.4
# Most numbers that multipliers of all layers may have.
MOST_MULTIPLIERS = 1 << 22
# Relative distance of the cones' bound from the best direction found.
TOLERANCE = 5e-4


def peeling_applies(task: PolarTask) -> bool:
    """Whether the first weight reads few enough dimensions, and all functions between weights have one kink alike."""
    form = _form(task)
    kinked = len(set(form.slopes)) == 1 and form.slopes[0].bend != 0
    size = len(task.scores) * task.scores.shape[1] * math.prod(hop.reach for hop in form.path.hops)
    return kinked and size <= MOST_MULTIPLIERS and reduced_dimension(_base(form)) <= LARGEST_DIMENSION


def peeling(task: PolarTask) -> PolarBound:
    """An upper bound on the polar at the task's dual point."""
    search = _Search(task)
    found = best_multipliers(search.peel_task(), task.scores)
    return search.proven(task.dual, found)


def joint_peeling(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """A dual point chosen together with multipliers, and a bound on its polar; none where it cannot be repaired."""
    search, objective = _Search(task), task.objective
    try:
        chart = dual_chart(objective, task.dual)
        start = chart.logits(objective.loss.repair(task.dual))
        problem = DualProblem(chart.dual, task.branch.scores, chart.conjugate, task.branch.strength)
        found = joint_multipliers(search.peel_task(), problem, start)
        dual = feasible_dual(objective, chart.dual(found.coordinates).detach())
    except InfeasibleDualError:
        return []
    return [(dual, search.proven(dual, found))]


def chain_of(form: Layers) -> Chain:
    """The layers between the first responses and the scores."""
    return Chain(form.slopes[0], tuple(_link(hop) for hop in reversed(form.path.hops)))


def _link(hop: Hop) -> Link:
    if hop.is_dense:
        return Dense()
    if hop.averages is None:
        return Convolution(hop.windows, hop.positions)
    return Averaged(Convolution(hop.windows, len(hop.averages)), FixedMap(hop.averages))


def _form(task: PolarTask) -> Layers:
    form = task.form
    if not isinstance(form, Layers):
        raise TypeError("not of several layers")
    return form


def _base(form: Layers) -> Rows:
    """The rows of the first weight."""
    return Rows(form.path.view, form.slopes[0])


@final
class _Search:
    """What stays the same for all dual points of a task."""

    def __init__(self, task: PolarTask) -> None:
        self.task, self.form, self.begun = task, _form(task), time.perf_counter()
        self.chain, self.reduced = chain_of(self.form), reduce_rows(_base(self.form))

    def peel_task(self) -> PeelTask:
        task, starts = self.task, self.task.starts[0]
        directions = self.reduced.lower(starts.reshape(-1, self.form.path.view.rows.shape[1]))
        deadline = self.begun + SEARCH_SHARE * (task.deadline - self.begun)
        return PeelTask(self.chain, self.reduced.rows, directions, deadline, seed=task.seed)

    def proven(self, dual: Tensor, found: PeelOutcome) -> PolarBound:
        """What cones prove with the multipliers at a dual point."""
        task = self.task
        scores = task.branch.scores(dual)
        signs, ends, upper = self.chain.signs(scores), [], 0.0
        seminorms = self.chain.seminorms(scores, found.peels)
        for place, (sign, peels, seminorm) in enumerate(zip(signs, found.peels, seminorms, strict=True)):
            seconds = task.seconds_left / (len(signs) - place)
            cover, own = self._cones(seminorm, found.directions, seconds, upper)
            ends.append(_end(sign, peels, cover))
            upper = max(upper, own)
        return PolarBound(0.0, task.nothing, upper, "peeling", Peeled(tuple(ends)))

    def _cones(
        self, seminorm: PeeledScores, directions: Tensor, seconds: float, reached: float
    ) -> tuple[ConeCover, float]:
        """A tree that bounds a seminorm, with its bound on the rows as they are."""
        reduced, task = self.reduced, self.task
        target = max(reached, task.target if math.isfinite(task.target) else 0.0) / reduced.frame_norm
        settings = ConeSettings(target, TOLERANCE, seconds, slopes=self.form.slopes[0])
        start = directions[0] if len(directions) else None
        outcome = cone_maximum(reduced.rows, [(seminorm.columns, seminorm.diagonals)], settings, start)
        cover = ConeCover(outcome.tree, reduced.frame, reduced.rows, reduced.center)
        # A diagonal costs no more than as many score columns, one for each row.
        columns = torch.cat([seminorm.columns, seminorm.diagonals.sqrt().sum(0)[:, None]], 1)
        return cover, reduced.polar_upper(columns, outcome.upper)


def _end(sign: int | None, peels: Peels, cover: ConeCover) -> PeeledEnd:
    """One end of a proof, its layers from the last hidden one."""
    kept = []
    for level, peel in enumerate(peels):
        index = sign if level == 0 and sign is not None else None
        curvatures = peel.curvatures if index is None else peel.curvatures[index : index + 1]
        kept.append((curvatures, peel.slopes[0 if index is None else index]))
    return PeeledEnd(tuple(kept), cover)
