"""Search of the multipliers of a chain, at a dual point or together with it.

At a dual point, minimize the largest seminorm of the first responses over a growing set of directions, by Adam (Kingma
and Ba 2015) on its smoothed maximum; ascent from the worst of them finds more as the multipliers move. Together,
maximize the scaled dual value −l*(sA) + …, s = min(1, λ/U), as `bounds.rows.relaxations.first_order`. What is returned
was the best where U counts all directions found; it proves nothing until the seminorms are bounded (`base`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.layers.chain import Chain, Peels
from certify.bounds.layers.peel_logits import peels_at, starting_logits
from certify.bounds.layers.peeling import Peel
from certify.bounds.layers.witnesses import Witnesses, first_witnesses

LEARNING_RATE = 0.05
# The learning rate falls along a cosine to this share of its start.
FINAL_SHARE = 0.02
# Relative width of the smoothed maximum, at the start and in the end, and how many values it takes in.
SMOOTHING = (2e-2, 3e-4)
SMOOTHED = 64
STEPS = 1500
# Share of the work spent on multipliers alone, with the dual point at the start.
WARMUP = 0.2
REFRESHES = 20
# The clock takes over the schedule once it is this share ahead of the steps.
HURRY = 0.1
# Most directions returned.
RETURNED = 32


@final
@dataclass(frozen=True, slots=True)
class PeelTask:
    """What multipliers are searched for.

    Attributes:
        chain: the layers.
        rows: H in few coordinates, (N, k).
        directions: good ones if any are known, (s, k).
        deadline: `time.perf_counter()` value at which to stop.
        steps: most steps.
        seed: of all randomness.
    """

    chain: Chain
    rows: Tensor
    directions: Tensor
    deadline: float
    steps: int = STEPS
    seed: int = 0


@final
@dataclass(frozen=True, slots=True)
class DualProblem:
    """The dual point as a function of coordinates.

    Attributes:
        dual: A (n, c) of coordinates, with gradient.
        scores: S (N, m) of A, with gradient.
        conjugate: what the dual value of A is the negative of, with gradient.
        strength: λ.
    """

    dual: Callable[[Tensor], Tensor]
    scores: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]
    strength: float


@final
@dataclass(frozen=True, slots=True)
class PeelOutcome:
    """Multipliers with what is estimated of them.

    Attributes:
        peels: for the scores at the dual point, one chain for each of its signs.
        upper: largest seminorm found; not proven.
        directions: where seminorms are large, largest first, (s, k).
        coordinates: of the dual point, empty where it was given.
    """

    peels: tuple[Peels, ...]
    upper: float
    directions: Tensor
    coordinates: Tensor


def best_multipliers(task: PeelTask, scores: Tensor) -> PeelOutcome:
    """Multipliers at scores S (N, m)."""
    return _Descent(task, lambda _: scores, lambda _, upper: upper).run(None)


def joint_multipliers(task: PeelTask, problem: DualProblem, start: Tensor) -> PeelOutcome:
    """Multipliers and coordinates of the dual point, from a start."""

    def loss(coordinates: Tensor, upper: Tensor) -> Tensor:
        return problem.conjugate((problem.strength / upper).clamp_max(1.0) * problem.dual(coordinates))

    return _Descent(task, lambda coordinates: problem.scores(problem.dual(coordinates)), loss).run(start)


@final
@dataclass(frozen=True, slots=True)
class _Descent:
    """What is minimized: a loss of coordinates of the dual point and of the largest seminorm for its scores."""

    task: PeelTask
    scores: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]

    def run(self, start: Tensor | None) -> PeelOutcome:
        """The best that Adam comes by; without a start there are no coordinates."""
        task, generator = self.task, torch.Generator().manual_seed(self.task.seed)
        witnesses = first_witnesses(task.rows, task.chain.slopes, task.directions, generator)
        coordinates = task.rows.new_zeros(0) if start is None else start.detach().clone()
        with torch.no_grad():
            logits = starting_logits(task.chain, self.scores(coordinates), witnesses.reach())
        groups = [[coordinates.requires_grad_()], [tensor.requires_grad_() for tensor in logits.tensors]]
        optimizer = torch.optim.Adam([{"params": group} for group in groups], lr=LEARNING_RATE)
        begun, best, least, checks = time.perf_counter(), None, math.inf, 0
        for step in range(task.steps + 1):
            spent = (time.perf_counter() - begun) / max(task.deadline - begun, 1e-9)
            progress = min(1.0, max(step / task.steps, spent if spent > step / task.steps + HURRY else 0.0))
            peels, seminorms = peels_at(task.chain, self.scores(coordinates), logits)
            if progress * REFRESHES >= checks:
                checks += 1
                witnesses, upper = witnesses.refreshed(seminorms, generator)
                reached = float(self.loss(coordinates, task.rows.new_tensor(upper)).detach())
                if best is None or reached < least:
                    least, best = reached, _outcome(peels, upper, witnesses, coordinates)
            if progress >= 1 or not math.isfinite(reached):
                break
            share = (1 + math.cos(math.pi * progress)) / 2
            rate = LEARNING_RATE * (FINAL_SHARE + (1 - FINAL_SHARE) * share)
            optimizer.param_groups[0]["lr"] = rate if progress >= WARMUP else 0.0
            optimizer.param_groups[1]["lr"] = rate
            width = SMOOTHING[0] * (SMOOTHING[1] / SMOOTHING[0]) ** progress
            optimizer.zero_grad()
            self.loss(coordinates, _smoothed(witnesses.values(seminorms), width)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if best is None:
            raise OverflowError("no step of the search over multipliers was evaluated")
        return best


def _smoothed(values: Tensor, width: float) -> Tensor:
    """A smooth maximum of values (s,), not below it."""
    top = values.topk(min(SMOOTHED, len(values))).values
    unit = width * float(top.detach()[0]) or 1.0
    smooth: Tensor = unit * torch.logsumexp(top / unit, 0)
    return smooth


def _outcome(peels: tuple[Peels, ...], upper: float, witnesses: Witnesses, coordinates: Tensor) -> PeelOutcome:
    fixed = tuple(tuple(Peel(p.curvatures.detach(), p.slopes.detach()) for p in chain) for chain in peels)
    return PeelOutcome(fixed, upper, witnesses.directions[:RETURNED], coordinates.detach().clone())
