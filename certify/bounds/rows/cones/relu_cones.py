"""The cone rung of the ladder: ReLU polar by branch and bound in principal axes of the inputs."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.rows.cones.cone_forecast import forecast_nodes
from certify.bounds.rows.cones.cone_tree import ConeTree
from certify.bounds.rows.cones.cones import ConeSettings, cone_polar
from certify.bounds.rows.reduction import ReducedInputs, reduce_inputs

# Up to this many coordinates the search usually finishes and gets all the time; up to the next it gets a share.
COMFORTABLE_DIMENSION = 8
LARGEST_DIMENSION = 12
SHARE_BEYOND = 0.5
# A search forecast to take this many times the time there is does not start, beyond the comfortable dimension.
HOPELESS = 20.0
# Relative distance between the bound asked of the search and the one that is useful: a share of the useful bound's own
# distance from λ, within limits.
LARGEST_SLACK = 1e-4
SMALLEST_SLACK = 1e-10
SLACK_SHARE = 0.25
# Tolerance when no bound at this dual point decides, so that the interval itself is the result.
INTERVAL_TOLERANCE = 5e-4


@final
@dataclass(frozen=True, slots=True)
class ConeProof:
    """A cone tree over reduced inputs.

    Attributes:
        tree: bounds the polar of the reduced rows.
        frame: F, (d, k); the rows are recomputed from the inputs and it.
        rows: H F as used, (n, k).
        center: subtracted from the inputs where a bias is free, (d,).
    """

    tree: ConeTree
    frame: Tensor
    rows: Tensor
    center: Tensor


def cones_apply(task: PolarTask) -> bool:
    """Whether the inputs have few enough dimensions, and at least one that is penalized."""
    inputs = task.objective.inputs
    penalized = inputs[:, : inputs.shape[1] - task.objective.free_inputs]
    return 0 < int(torch.linalg.matrix_rank(penalized)) <= LARGEST_DIMENSION - task.objective.free_inputs


def relu_cones(task: PolarTask) -> PolarBound:
    """Both ends of the polar; the upper one proven by a tree of cones.

    A short pilot forecasts the cost and says so; a search that cannot end in time stays with the pilot's interval
    where other methods deserve the time.
    """
    reduced = reduce_inputs(task.objective)
    settings = _settings(task, reduced)
    start = _start(task, reduced)
    forecast = forecast_nodes(reduced.rows, -task.dual, settings, start)
    outcome = forecast.pilot
    if outcome is None:
        return PolarBound(0.0, tuple(f[:0] for f in task.starts), math.inf, "cones")

    def report(lower: float, upper: float, nodes: int) -> None:
        task.on_progress(lower, reduced.polar_upper(task.dual, upper), f"{nodes} cones")

    task.on_progress(outcome.lower, reduced.polar_upper(task.dual, outcome.upper), f"expecting {forecast.sentence}")
    hopeless = forecast.seconds_estimate > HOPELESS * settings.seconds
    if not outcome.complete and not (hopeless and reduced.rows.shape[1] > COMFORTABLE_DIMENSION):
        outcome = cone_polar(reduced.rows, -task.dual, settings, start, report)
    upper = reduced.polar_upper(task.dual, outcome.upper)
    proof = ConeProof(outcome.tree, reduced.frame, reduced.rows, reduced.center)
    first = reduced.lift(torch.cat([outcome.witness[None], outcome.open_directions]))
    return PolarBound(outcome.lower, _with_response(task, first), upper, "cones", proof)


def _settings(task: PolarTask, reduced: ReducedInputs) -> ConeSettings:
    dimension = reduced.rows.shape[1]
    seconds = task.seconds_left * (1.0 if dimension <= COMFORTABLE_DIMENSION else SHARE_BEYOND)
    # The frame vanishes where only the free bias is left.
    frame_norm = max(reduced.frame_norm, sys.float_info.min)
    room = task.target / task.objective.strength - 1
    slack = min(LARGEST_SLACK, max(SMALLEST_SLACK, SLACK_SHARE * room)) if room > 0 else LARGEST_SLACK
    target = (task.target - reduced.polar_upper(task.dual, 0.0)) / frame_norm / (1 + slack)
    if target <= 0:
        return ConeSettings(None, INTERVAL_TOLERANCE, seconds, free_axis=reduced.free_axis)
    return ConeSettings(target, slack, seconds, free_axis=reduced.free_axis)


def _start(task: PolarTask, reduced: ReducedInputs) -> Tensor | None:
    if task.starts[0].shape[0] == 0:
        return None
    return reduced.lower(task.starts[0][:1])[0]


def _with_response(task: PolarTask, first: Tensor) -> tuple[Tensor, Tensor]:
    response = -(task.objective.inputs @ first.T).clamp_min(0).T @ task.dual
    sizes = torch.linalg.vector_norm(response, dim=1)
    return first[sizes > 0], (response / sizes.clamp_min(1e-300)[:, None])[sizes > 0]
