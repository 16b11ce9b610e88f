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

from certify.bounds.bilinear.moments import moments_of
from certify.bounds.eigenvalue import largest_singular_value_upper
from certify.bounds.layers.base import base_maximum
from certify.bounds.layers.chain import Chain
from certify.bounds.layers.deep_search import deep_search
from certify.bounds.layers.fan import fan_of
from certify.bounds.layers.kink import Kink
from certify.bounds.layers.links import Convolution, FixedMap
from certify.bounds.layers.multipliers import DualProblem, PeelOutcome, PeelTask, best_multipliers, joint_multipliers
from certify.bounds.layers.peeled_scores import PeeledScores
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import ConeCover, Peeled, PeeledEnd, Recomputed
from certify.bounds.rounding import product_error
from certify.bounds.rows.cones.cone_method import LARGEST_DIMENSION
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.reduction import reduce_rows, reduced_dimension
from certify.bounds.rows.relaxations.dual_chart import dual_chart
from certify.problem import Layers, Rows
from certify.problem.dual import InfeasibleDualError, feasible_dual

# Share of the time that multipliers get; cones get the rest.
SEARCH_SHARE = 0.4
# Most numbers that multipliers of all layers may have.
MOST_MULTIPLIERS = 1 << 22
# Relative distance of the cones' bound from the best direction found.
TOLERANCE = 5e-4


def peeling_applies(task: PolarTask) -> bool:
    """Whether the first weight reads few enough dimensions, and there are kinks."""
    form = _form(task)
    size = len(task.scores) * task.scores.shape[1] * math.prod(hop.reach for hop in form.path.hops)
    fits = size <= MOST_MULTIPLIERS and reduced_dimension(_base(form)) <= LARGEST_DIMENSION
    return fits and not _is_linear(form)


def deep_spectral_applies(task: PolarTask) -> bool:
    """Whether there are no kinks."""
    return _is_linear(_form(task))


def deep_spectral(task: PolarTask) -> PolarBound:
    """The largest singular value of HᵀC, C the score columns that the layers between lead to; exact for dense ones."""
    form, chain = _form(task), chain_of(_form(task), task.scores.shape[1])
    (seminorm,) = chain.seminorms(task.scores, ((),))
    moments = moments_of(form.path.view.rows, seminorm.columns)
    error = product_error(form.path.view.rows.T, seminorm.columns)
    upper = largest_singular_value_upper(moments, float(torch.linalg.vector_norm(error)))
    found = deep_search(task)
    return PolarBound(
        found.value, found.witness, upper, "spectral of layers", Peeled((PeeledEnd((), Recomputed("spectral")),))
    )


def _is_linear(form: Layers) -> bool:
    return all(slopes.bend == 0 for slopes in form.slopes)


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


def chain_of(form: Layers, columns: int) -> Chain:
    """The layers between the first responses and so many score columns."""
    steps: list[Kink | Convolution | FixedMap] = []
    for hop, slopes in zip(reversed(form.path.hops), reversed(form.slopes), strict=False):
        steps += [] if slopes.bend == 0 else [Kink(slopes)]
        if hop.is_dense and slopes.bend == 0:
            # One end for both signs, as where anything else comes before a kink.
            steps.append(FixedMap(torch.eye(1, dtype=torch.float64)))
        if not hop.is_dense:
            steps.append(Convolution(hop.windows, hop.positions if hop.averages is None else len(hop.averages)))
        steps += [] if hop.averages is None else [FixedMap(hop.averages)]
    apart = columns == 1 and bool(steps) and isinstance(steps[0], Kink)
    return Chain(form.slopes[0], tuple(steps), fan_of(1) if apart else None)


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
        self.chain = chain_of(self.form, task.scores.shape[1])
        self.reduced = reduce_rows(_base(self.form))

    def peel_task(self) -> PeelTask:
        task, starts = self.task, self.task.starts[0]
        directions = self.reduced.lower(starts.reshape(-1, self.form.path.view.rows.shape[1]))
        deadline = self.begun + SEARCH_SHARE * (task.deadline - self.begun)
        return PeelTask(self.chain, self.reduced.rows, directions, deadline, seed=task.seed)

    def proven(self, dual: Tensor, found: PeelOutcome) -> PolarBound:
        """What cones prove with the multipliers at a dual point."""
        task = self.task
        scores = task.branch.scores(dual)
        ends, upper, seminorms = [], 0.0, self.chain.seminorms(scores, found.peels)
        for place, (peels, seminorm) in enumerate(zip(found.peels, seminorms, strict=True)):
            seconds = task.seconds_left / (len(seminorms) - place)
            cover, own = self._cones(seminorm, found.directions, seconds, upper)
            ends.append(PeeledEnd(tuple((peel.curvatures, peel.slopes[0]) for peel in peels), cover))
            upper = max(upper, own) if own < math.inf else math.inf
        return PolarBound(0.0, task.nothing, upper, "peeling", Peeled(tuple(ends)))

    def _cones(
        self, seminorm: PeeledScores, directions: Tensor, seconds: float, reached: float
    ) -> tuple[ConeCover, float]:
        """A tree that bounds a seminorm, with its bound on the rows as they are."""
        reduced, task = self.reduced, self.task
        target = max(reached, task.target if math.isfinite(task.target) else 0.0) / reduced.frame_norm
        settings = ConeSettings(target, TOLERANCE, seconds, slopes=self.form.slopes[0])
        start = directions[0] if len(directions) else None
        outcome = base_maximum(reduced.rows, [seminorm], settings, start)
        cover = ConeCover(outcome.tree, reduced.frame, reduced.rows, reduced.center)
        # A diagonal costs no more than as many score columns, one for each row.
        columns = torch.cat([seminorm.columns, seminorm.diagonals.sqrt().sum(0)[:, None]], 1)
        return cover, reduced.polar_upper(columns, outcome.upper)
