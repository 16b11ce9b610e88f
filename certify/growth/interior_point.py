"""Primal-dual interior point method for block programs (Wright 1997; Fiacco and McCormick 1968 for the barrier).

Walls s = S R x > 0 have multipliers z > 0 with s z = β; norms enter through the barrier of their epigraph. A Newton
step of the perturbed optimality conditions is a descent direction of the barrier function, on which the step is
searched; β then shrinks. Every iterate is strictly inside its cells, hence a network: stopping early is safe.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.growth.block_program import BlockProgram
from certify.growth.newton_system import NewtonSystem

# β times the number of walls and norms, as a share of the objective, at the start and at the end.
FIRST_BARRIER_SHARE = 0.5
LAST_BARRIER_SHARE = 1e-9
BARRIER_FACTOR = 0.1
STEPS_PER_BARRIER = 12
# Steps stop short of the boundary by this share of the way.
BOUNDARY_SHARE = 0.995
# Multipliers stay within this factor of β/s, so that the Newton matrix stays meaningful.
MULTIPLIER_RANGE = 1e6
# A barrier problem counts as solved when a Newton step promises less than this share of β per block.
SOLVED_SHARE = 0.1
ARMIJO = 1e-4
BACKTRACKS = 30
# Changes of the barrier function below this share are noise: there Newton steps are taken as they are.
VALUE_NOISE = 1e-12


@final
@dataclass(frozen=True, slots=True)
class _Iterate:
    """A strictly feasible point with its multipliers (s,)."""

    point: Tensor
    multipliers: Tensor


def minimize_blocks(program: BlockProgram, start: Tensor, deadline: float) -> Tensor:
    """A point (m,) close to the program's minimum, from a start (m,) strictly inside the walls.

    Stops with the current point at the deadline in `time.perf_counter()`.
    """
    slack = program.slack(start)
    constraints = slack.numel() + program.blocks
    scale = abs(program.smooth_value(start, 0.0 if program.blocks == 0 else 1e-12)) / max(constraints, 1)
    barrier, last = FIRST_BARRIER_SHARE * scale, LAST_BARRIER_SHARE * scale
    iterate = _Iterate(start, barrier / slack)
    while barrier > 0:
        for _ in range(STEPS_PER_BARRIER):
            if time.perf_counter() > deadline:
                return iterate.point
            moved, promised = _newton_step(program, iterate, barrier)
            if moved is None:
                break
            iterate = moved
            if promised <= SOLVED_SHARE * barrier * max(program.blocks, 1):
                break
        if barrier <= last:
            break
        barrier = max(last, BARRIER_FACTOR * barrier)
    return iterate.point


def _newton_step(program: BlockProgram, iterate: _Iterate, barrier: float) -> tuple[_Iterate | None, float]:
    """The next iterate, None where no step descends, and the decrease that the Newton model promised."""
    point, slack = iterate.point, program.slack(iterate.point)
    gradient, blocks = program.smooth_derivatives(point, barrier)
    gradient = gradient - program.pull(barrier / slack)
    stiff = zip(blocks, program.stiffness(iterate.multipliers / slack), strict=True)
    step = -NewtonSystem(program, program.outputs(point), tuple(a + b for a, b in stiff)).solve(gradient)
    promised = float(-(gradient @ step))
    change = program.slack(step)
    multiplier_step = barrier / slack - iterate.multipliers - iterate.multipliers / slack * change
    moved = _searched(program, point, step, barrier, (slack, change, promised))
    if moved is None:
        return None, promised
    share = _share_inside(iterate.multipliers, multiplier_step)
    central = barrier / program.slack(moved)
    multipliers = (iterate.multipliers + share * multiplier_step).clamp(
        central / MULTIPLIER_RANGE, central * MULTIPLIER_RANGE
    )
    return _Iterate(moved, multipliers), promised


def _searched(
    program: BlockProgram, point: Tensor, step: Tensor, barrier: float, line: tuple[Tensor, Tensor, float]
) -> Tensor | None:
    """Backtracking on the barrier function along the step; `line` holds slack, its change and the promise."""
    slack, change, promised = line
    value = program.smooth_value(point, barrier) - barrier * float(torch.log(slack).sum())
    tolerance = VALUE_NOISE * abs(value)
    share = _share_inside(slack, change)
    for _ in range(BACKTRACKS):
        trial = point + share * step
        inside = program.slack(trial)
        if bool((inside > 0).all()):
            moved = program.smooth_value(trial, barrier) - barrier * float(torch.log(inside).sum())
            if moved <= value - ARMIJO * share * promised + tolerance:
                return trial
        share /= 2
    return None


def _share_inside(values: Tensor, change: Tensor) -> float:
    """Largest share of a step, at most 1, that keeps positive values positive."""
    falling = change < 0
    if not bool(falling.any()):
        return 1.0
    return min(1.0, BOUNDARY_SHARE * float((-values[falling] / change[falling]).min()))
