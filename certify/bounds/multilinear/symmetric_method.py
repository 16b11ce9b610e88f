"""The joint semidefinite bound of tensors as a method: iterates of the splitting, each proven, the best kept."""

from __future__ import annotations

import math
import time
from typing import final

from torch import Tensor

from certify.bounds.kept_search import Found, gone_on
from certify.bounds.multilinear.entry_form import entry_form, is_round_tensor
from certify.bounds.multilinear.symmetric_bound import symmetric_upper
from certify.bounds.multilinear.symmetric_splitting import SymmetricSplitting
from certify.bounds.multilinear.unfoldings import pairings, side_of
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import SymmetricUnfolding
from certify.problem.dual import InfeasibleDualError, best_scale, feasible_dual
from certify.progress import Progress

# Rows of the largest matrix that is served, and seconds that one step takes for each cubed one; on a slow core.
LARGEST_SIDE, EIGEN_COST = 2**12, 6e-10
# Steps between two proofs, and the fewest that are worth beginning.
STEPS, LEAST_STEPS = 25, 10
# Within so many rounds the bound has to rise by this share of what is missing, else it has stalled.
LEAST_RISE, LEAST_ROUNDS = 0.01, 20
# Where its search is kept for the next task.
KEPT = "symmetric unfolding"


def symmetric_applies(task: PolarTask) -> bool:
    """Whether time and memory suffice for some steps."""
    if not is_round_tensor(task):
        return False
    entries = entry_form(task).entries
    side = min(side_of(entries, sides) for sides in pairings(entries))
    fits = side <= LARGEST_SIDE and LEAST_STEPS * EIGEN_COST * side**3 <= task.seconds_left
    return fits and entries.coefficients is None and len(task.objective.convex.ridge) == 0


def symmetric_unfolding(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The best dual point found with its bound; empty if none was."""
    found = gone_on(task, KEPT, _Search)
    return [] if found is None else [(found.dual, found.bounds[0])]


@final
class _Search:
    """Splittings of one task, one unfolding after another, and the best bound that their iterates proved."""

    def __init__(self, task: PolarTask) -> None:
        entries = entry_form(task).entries
        fitting = [sides for sides in pairings(entries) if side_of(entries, sides) <= LARGEST_SIDE]
        self._left = sorted(fitting, key=lambda sides: side_of(entries, sides))
        self._round_seconds, self._history, self._reached = 0.0, list[float](), -math.inf
        self._splitting = self._next(task)
        self.best: Found | None = None

    def go_on(self, task: PolarTask) -> None:
        """Until the bound decides, all splittings stall, or the time of a task of the same objective is out."""
        while not (self._decided(task) or task.seconds_left <= self._round_seconds):
            if self._slow(task):
                if not self._left:
                    return
                self._splitting = self._next(task)
            begun = time.perf_counter()
            for _ in range(STEPS):
                self._splitting.step()
                if task.seconds_left <= self._round_seconds / 2:
                    break
            self._prove(task)
            self._splitting.even_out()
            self._round_seconds = time.perf_counter() - begun
            self._history.append(self._reached)

    def _next(self, task: PolarTask) -> SymmetricSplitting:
        splitting = SymmetricSplitting(task.objective, entry_form(task), self._left.pop(0))
        splitting.start(task.network, task.dual)
        self._round_seconds, self._history, self._reached = 0.0, [], -math.inf
        return splitting

    def _decided(self, task: PolarTask) -> bool:
        return self.best is not None and self.best.value >= task.needed

    def _slow(self, task: PolarTask) -> bool:
        if len(self._history) < LEAST_ROUNDS:
            return False
        before, now = self._history[-LEAST_ROUNDS], self._history[-1]
        return now - before <= LEAST_RISE * (task.needed - now)

    def _prove(self, task: PolarTask) -> None:
        splitting = self._splitting
        try:
            dual = feasible_dual(task.objective, splitting.gradient)
        except InfeasibleDualError:
            return
        proof = SymmetricUnfolding(splitting.sides, splitting.multipliers())
        upper = symmetric_upper(task, dual, proof)
        if not 0 < upper < math.inf:
            return
        value = best_scale(task.objective, dual, task.branch.strength / upper).value
        self._reached = max(self._reached, value)
        if self.best is None or value > self.best.value:
            bound = PolarBound(0.0, task.nothing, upper, "symmetric unfolding", proof)
            self.best = Found(dual, (bound,), value)
            interval = 0.0, upper / task.branch.strength
            task.listener(Progress("bounding", lower_bound=value, polar=interval, detail="multipliers"))
