"""The doubly nonnegative relaxation as a method: iterates of the splitting, each proven, the best kept.

How fast the bounds rise depends on the penalty β by orders of magnitude, and no residual tells the right one. So a few
are tried from the start, and the winner goes on, its β moved by `penalty`.
"""

from __future__ import annotations

import math
import time
from typing import final

import torch
from torch import Tensor

from certify.bounds.kept_search import Found, gone_on
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import DoublyNonnegative, ProductMultipliers
from certify.bounds.rows.relaxations.direction_region import center_of, direction_region
from certify.bounds.rows.relaxations.doubly_nonnegative.penalty import PenaltyCourse
from certify.bounds.rows.relaxations.doubly_nonnegative.product_program import product_program
from certify.bounds.rows.relaxations.doubly_nonnegative.proven import doubly_nonnegative_upper
from certify.bounds.rows.relaxations.doubly_nonnegative.splitting import Splitting
from certify.bounds.rows.rows_form import rows_form
from certify.problem.dual import InfeasibleDualError, best_scale, dual_value_estimate, feasible_dual
from certify.progress import Progress

# Penalties tried first, in units of λ, in this order as long as the next is better.
FIRST_PENALTIES = (1.0, 8.0, 64.0, 512.0)
# Beyond so many rows single precision takes the first steps.
FEW_ROWS = 128
# Up to so many rows a solver takes seconds; and its share of the time.
SOLVED_ROWS, SOLVED_SHARE = 24, 0.5
# Less time is better spent on steps.
LEAST_SECONDS = 2.0
# What its multipliers prove beyond λ, relative, where it was solved to the end.
SOLVED = 1e-2
# Outputs that have a sign of their own where the program is solved; and in the splitting, of no more than so many.
SPLIT, MOST_OUTPUTS = 2, 4
# Steps between two proofs, fewer where they take longer than this share of the time; but the first may compute all
# eigenpairs, which costs as much as several steps.
STEPS, FEWEST_STEPS, ROUND_SHARE = 50, 8, 0.05
# Within twice as many rounds the bound has to rise by this share of what is missing, else it has stalled; and by the
# second, else outputs are given signs.
LEAST_RISE, WORTHY_RISE, LEAST_ROUNDS = 0.01, 0.1, 40
# Rounds of blocks with signs before their bounds are better.
LEAST_BLOCK_ROUNDS = 15
# Seconds that one step takes for each squared row and sign, and eigenvectors for each cubed one; on a slow core.
STEP_COST, EIGEN_COST = 5e-8, 6e-10
LEAST_STEPS = 100
# Arrays of N² numbers that are held at a time for each sign, and the bytes that they may take.
ARRAYS, LARGEST_BYTES = 12, 6 * 2**30
# Rows of the largest matrix that certificates take.
LARGEST_SIDE = 2**14


# Where its search is kept for the next task.
KEPT = "doubly nonnegative"


def products_apply(task: PolarTask) -> bool:
    """Whether every sample has one row, and time and memory suffice for its steps."""
    return products_pay(task, 1.0)


def products_pay(task: PolarTask, share: float) -> bool:
    """Whether this share of the time suffices for the first bounds; none is needed where they were found before."""
    view, n, signs = task.branch.table, len(task.branch.table.rows), _signs(task)
    side = task.objective.outputs + view.rows.shape[1] + n
    if view.readout.weights is not None or not bool(view.penalized.any()) or side > LARGEST_SIDE:
        return False
    seconds = signs * (LEAST_STEPS * STEP_COST * n**2 + 2 * EIGEN_COST * n**3)
    fits = seconds <= share * task.seconds_left and 8 * ARRAYS * signs * n**2 <= LARGEST_BYTES
    return fits or products_begun(task)


def products_begun(task: PolarTask) -> bool:
    """Whether an earlier task of the same objective left a search to go on with."""
    return KEPT in task.kept


def products(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The best dual point found with its bound; empty if none was."""
    return gone_on(task, KEPT, _Search)


def _split(task: PolarTask) -> int:
    return min(task.objective.outputs, SPLIT)


def _signs(task: PolarTask) -> int:
    return 2 if task.objective.outputs == 1 else 1


@final
class _Search:
    """Splittings of one task, and the best bound that their iterates proved."""

    def __init__(self, task: PolarTask) -> None:
        view = task.branch.table
        live = torch.ones(len(view.rows), dtype=torch.bool, device=view.rows.device)
        self._form = rows_form(task)
        self._center = center_of(view, live)
        self._inputs = direction_region(view, self._center, 1.0).inputs
        # Until one has been timed.
        self._proof_seconds = self._round_seconds = 2 * _signs(task) * EIGEN_COST * len(view.rows) ** 3
        self._penalties, self._course = list(FIRST_PENALTIES), PenaltyCourse(-math.inf)
        self._history, self._stalled = list[float](), False
        self._splitting: Splitting | None = None
        self.best: Found | None = None
        self._tried = False
        # Share of what is missing that scaling cost the last bound.
        self._excess = math.inf

    def go_on(self, task: PolarTask) -> None:
        """Until the bound decides, stalls, or the time of a task of the same objective is out."""
        self._task, self._longest_round = task, ROUND_SHARE * task.seconds_left
        if not self._tried:
            self._solve()
        self._race()
        self._climb()

    def _solve(self) -> None:
        """Try the program where it is small; where that came to its end, no steps add to it."""
        task = self._task
        if len(self._inputs) > SOLVED_ROWS or task.seconds_left < LEAST_SECONDS:
            return
        self._tried = True
        found = product_program(task, self._inputs, _split(task), SOLVED_SHARE * task.seconds_left)
        if found is not None:
            self._prove(*found)
        self._stalled = self.best is not None and self.best.bound.upper <= (1 + SOLVED) * task.branch.strength

    def _race(self) -> None:
        """Try the first penalties that are left."""
        while self._penalties and not self._over():
            penalty = self._penalties.pop(0)
            coarse = torch.float32 if len(self._inputs) > FEW_ROWS else torch.float64
            splitting = Splitting(self._task.objective, self._form, self._inputs, coarse)
            splitting.start(self._task.network, self._center)
            splitting.rescale(penalty * self._task.branch.strength / splitting.penalty)
            value = self._round(splitting)
            if value < self._course.reached:
                self._penalties.clear()
                return
            self._splitting, self._course = splitting, PenaltyCourse(value)

    def _climb(self) -> None:
        """Go on with the winner."""
        splitting = self._splitting
        while splitting is not None and not self._over():
            rise = self._rise()
            if rise <= WORTHY_RISE and self._divides(splitting):
                splitting.divide(_split(self._task))
                self._proof_seconds *= len(splitting.blocks)
                self._history.clear()
            elif rise <= LEAST_RISE:
                if not splitting.is_coarse:
                    self._stalled = True
                    return
                splitting.refine()
                self._history.clear()
            splitting.rescale(self._course.factor)
            value = self._round(splitting)
            self._course.steer(value, self._excess, self._behind(value))
            self._history.append(-math.inf if self.best is None else self.best.value)

    def _divides(self, splitting: Splitting) -> bool:
        """Whether there are outputs to give signs, and time and memory for blocks of these to pay."""
        n, blocks = len(self._inputs), 2 ** _split(self._task)
        seconds = LEAST_BLOCK_ROUNDS * blocks * self._round_seconds
        fits = seconds <= self._task.seconds_left and 8 * ARRAYS * blocks * n**2 <= LARGEST_BYTES
        return splitting.split == 0 and self._task.objective.outputs <= MOST_OUTPUTS and fits

    def _behind(self, value: float) -> float:
        """How much more is missing than for the best."""
        best = value if self.best is None else self.best.value
        return (best - value) / (self._task.needed - best) if best < self._task.needed else 0.0

    def _over(self) -> bool:
        decided = self.best is not None and self.best.value >= self._task.needed
        return decided or self._stalled or self._task.seconds_left <= self._proof_seconds

    def _rise(self) -> float:
        """Of the best bound in the last half of the rounds, as a share of what is missing, where it can be judged."""
        history = self._history
        if len(history) < LEAST_ROUNDS or not self._course.is_low:
            return math.inf
        before, now = history[len(history) // 2], history[-1]
        return (now - before) / (self._task.needed - now)

    def _round(self, splitting: Splitting) -> float:
        """Some steps, and the dual value that is proven after them; −inf if none is."""
        begun = time.perf_counter()
        for taken in range(1, STEPS + 1):
            splitting.step()
            long = taken >= FEWEST_STEPS and time.perf_counter() - begun > self._longest_round
            if long or self._task.seconds_left <= self._proof_seconds:
                break
        proven = time.perf_counter()
        value = self._prove(splitting.gradient, splitting.multipliers())
        ended = time.perf_counter()
        self._proof_seconds, self._round_seconds = ended - proven, ended - begun
        return value

    def _prove(self, candidate: Tensor, multipliers: tuple[ProductMultipliers, ...]) -> float:
        """The dual value that a candidate proves, kept if it is the best; −inf if none."""
        found = self._proven(candidate, multipliers)
        if found is None:
            return -math.inf
        if self.best is None or found.value > self.best.value:
            self.best = found
            strength = self._task.branch.strength
            interval = 0.0, found.bound.upper / strength
            self._task.listener(Progress("bounding", lower_bound=found.value, polar=interval, detail="products"))
        return found.value

    def _proven(self, candidate: Tensor, multipliers: tuple[ProductMultipliers, ...]) -> Found | None:
        task = self._task
        try:
            dual = feasible_dual(task.objective, candidate)
        except InfeasibleDualError:
            return None
        raw = DoublyNonnegative(multipliers, self._center)
        upper, proof = doubly_nonnegative_upper(self._form, task.branch.scores(dual), raw)
        if not 0 < upper < math.inf:
            return None
        bound = PolarBound(0.0, task.nothing, upper, "doubly nonnegative", proof)
        value = best_scale(task.objective, dual, task.branch.strength / upper).value
        lost = dual_value_estimate(task.objective, dual) - value
        self._excess = lost / (task.needed - value) if value < task.needed else 0.0
        return Found(dual, bound, value)
