"""The polar of rows by branch and bound on cones in their principal axes."""

from __future__ import annotations

import math
import sys

import torch
from torch import Tensor

from certify.bounds.labor import Aid, State
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import ConeCover
from certify.bounds.rows.cones.cone_forecast import forecast_nodes
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.cones.cones import cone_polar
from certify.bounds.rows.reduction import ReducedRows, reduce_rows, reduced_dimension, reduced_in, reduced_tensors
from certify.bounds.rows.relaxations.doubly_nonnegative.product_method import products_apply
from certify.bounds.rows.responses import attained
from certify.bounds.rows.rows_form import rows_form
from certify.problem import Rows
from certify.progress import Progress

# Up to this many coordinates the search usually finishes and gets all the time; up to the next it gets a share.
COMFORTABLE_DIMENSION = 8
LARGEST_DIMENSION = 12
SHARE_BEYOND = 0.5
# A search forecast to take this many times the time there is does not start, beyond the comfortable dimension; where
# products of rows serve too, none starts that would not end.
HOPELESS = 20.0
# Relative distance between the bound asked of the search and the one that is useful: a share of the useful bound's own
# distance from λ, within limits.
LARGEST_SLACK = 1e-4
SMALLEST_SLACK = 1e-10
SLACK_SHARE = 0.25
# Tolerance when no bound at this dual point decides, so that the interval itself is the result.
INTERVAL_TOLERANCE = 5e-4


def cones_apply(task: PolarTask) -> bool:
    """Whether the rows have few enough dimensions, and at least one that is penalized."""
    form = rows_form(task)
    return bool(form.view.penalized.any()) and reduced_dimension(form) <= LARGEST_DIMENSION


def is_comfortable(form: Rows) -> bool:
    """Whether the search usually finishes."""
    return reduced_dimension(form) <= COMFORTABLE_DIMENSION


def cones(task: PolarTask) -> PolarBound:
    """Both ends of the polar; the upper one proven by a tree of cones.

    A short pilot forecasts the cost and says so; a search that cannot end in time stays with the pilot's interval
    where other methods deserve the time.
    """
    form, scores, keeper = rows_form(task), task.scores, task.labor.keeper
    kept = None if keeper is None else keeper.kept(task.dual, task.index)
    reduced = reduce_rows(form) if kept is None else reduced_in(kept)
    if not bool(reduced.rows.isfinite().all() & scores.isfinite().all()):
        raise OverflowError("rows or scores are not finite")
    settings = _settings(task, reduced, scores)
    start = reduced.lower(task.starts[0][:1])[0] if len(task.starts[0]) else None

    def told(lower: float, upper: float, detail: str) -> None:
        strength = task.branch.strength
        interval = lower / strength, reduced.polar_upper(scores, upper) / strength
        task.listener(Progress("bounding", polar=interval, detail=detail))

    aid = _aid(task, reduced, settings, kept)
    outcome = None
    if aid.state is None:
        forecast = forecast_nodes(reduced.rows, scores, settings, start)
        outcome = forecast.pilot
        told(outcome.lower, outcome.upper, f"expecting {forecast.sentence}")
    if outcome is None or not outcome.complete and _worth_starting(task, reduced, settings, forecast.seconds_estimate):
        outcome = cone_polar(
            reduced.rows,
            scores,
            settings,
            start,
            lambda lower, upper, nodes: told(lower, upper, f"{nodes} cones"),
            aid=aid,
        )
    proof = ConeCover(outcome.tree, reduced.frame, reduced.rows, reduced.center)
    found = attained(task, reduced.lift(torch.cat([outcome.witness[None], outcome.open_directions])))
    upper = reduced.polar_upper(scores, outcome.upper)
    return PolarBound(found.value, found.witness, upper, "cones", proof)


def _worth_starting(task: PolarTask, reduced: ReducedRows, settings: ConeSettings, seconds: float) -> bool:
    """Whether a search forecast to take so many seconds is to start; one that is kept need not end this time."""
    others = len(task.objective.branches) == 1 and products_apply(task)
    if task.labor.keeper is None:
        hopeless = seconds > (1.0 if others else HOPELESS) * settings.seconds
    else:
        hopeless = HOPELESS * settings.seconds < seconds < math.inf
    return not (hopeless and (others or reduced.rows.shape[1] > COMFORTABLE_DIMENSION))


def _aid(task: PolarTask, reduced: ReducedRows, settings: ConeSettings, kept: State | None) -> Aid:
    """What the search has of the task's labor; a state that was kept of one with a higher goal does not serve."""
    keeper, crew = task.labor.keeper, task.labor.crew
    if keeper is None:
        return Aid(crew)
    aims = torch.tensor([settings.target, settings.relative_tolerance], dtype=torch.float64)
    serves = kept is not None and bool((kept["aims"].cpu() <= aims).all())
    given = reduced_tensors(reduced) | {"aims": aims}
    return Aid(
        crew,
        kept if serves else None,
        keeper.due,
        lambda state: keeper.keep(task.dual, task.index, {**state, **given}),
    )


def _settings(task: PolarTask, reduced: ReducedRows, scores: Tensor) -> ConeSettings:
    dimension = reduced.rows.shape[1]
    seconds = task.seconds_left * (1.0 if dimension <= COMFORTABLE_DIMENSION else SHARE_BEYOND)
    # The frame vanishes where only the free bias is left.
    frame_norm = max(reduced.frame_norm, sys.float_info.min)
    room = task.target / task.branch.strength - 1
    slack = min(LARGEST_SLACK, max(SMALLEST_SLACK, SLACK_SHARE * room)) if room > 0 else LARGEST_SLACK
    target = (task.target - reduced.polar_upper(scores, 0.0)) / frame_norm / (1 + slack)
    if target <= 0:
        target, slack = 0.0, INTERVAL_TOLERANCE
    return ConeSettings(
        target,
        slack,
        seconds,
        # A state that is kept is a copy, and is written from another one.
        memory_bytes=task.labor.memory_bytes // (1 if task.labor.keeper is None else 2),
        free_axis=reduced.free_axis,
        slopes=rows_form(task).slopes,
    )
