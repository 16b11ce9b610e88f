"""The search of the relaxations of all branches: iterates of the splitting, each proven, the best kept.

How fast the bounds rise depends on the penalty β by orders of magnitude, and no residual tells the right one. So a few
are tried from the start, and the winner goes on, its β moved by `penalty`.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from certify.bounds.bilinear.spectral import spectral_bound
from certify.bounds.kept_search import Found
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import DoublyNonnegative, ProductMultipliers
from certify.bounds.rows.relaxations.direction_region import center_of, direction_region
from certify.bounds.rows.relaxations.doubly_nonnegative.penalty import PenaltyCourse
from certify.bounds.rows.relaxations.doubly_nonnegative.product_program import product_program
from certify.bounds.rows.relaxations.doubly_nonnegative.proven import doubly_nonnegative_upper
from certify.bounds.rows.relaxations.doubly_nonnegative.rows_part import RowsPart
from certify.bounds.rows.relaxations.doubly_nonnegative.splitting import Splitting
from certify.bounds.rows.rows_form import rows_form
from certify.problem import Branch, Factors, Rows
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
# Arrays of N² numbers that are held at a time for each sign, and the bytes that they may take.
ARRAYS, LARGEST_BYTES = 12, 6 * 2**30


@final
class Member:
    """A branch of rows: its place, its form, and its coordinates."""

    def __init__(self, index: int, branch: Branch) -> None:
        view = branch.table
        live = torch.ones(len(view.rows), dtype=torch.bool, device=view.rows.device)
        self.index, self.branch, self.form = index, branch, rows_form(branch)
        self.center = center_of(view, live)
        self.inputs = direction_region(view, self.center, 1.0).inputs

    def bound(self, task: PolarTask, dual: Tensor, multipliers: tuple[ProductMultipliers, ...]) -> PolarBound:
        """What multipliers prove at a dual point."""
        raw = DoublyNonnegative(multipliers, self.center)
        upper, proof = doubly_nonnegative_upper(self.form, self.branch.scores(dual), raw)
        nothing = self.branch.empty(task.objective.outputs)
        return PolarBound(0.0, nothing, upper, "doubly nonnegative", proof)


@final
class ProductSearch:
    """Splittings of one task, and the best bound that their iterates proved."""

    def __init__(self, task: PolarTask, networks: tuple[Factors, ...]) -> None:
        branches = task.objective.branches
        self._networks = networks
        self._members = [Member(i, branch) for i, branch in enumerate(branches) if isinstance(branch.form, Rows)]
        self._outputs = [columns_of(member.branch, task.objective.outputs) for member in self._members]
        sizes = [len(member.inputs) for member in self._members]
        self._largest = max(sizes)
        # Until one has been timed.
        signs = [2 if m == 1 else 1 for m in self._outputs]
        self._proof_seconds = 2 * EIGEN_COST * sum(k * n**3 for k, n in zip(signs, sizes, strict=True))
        self._round_seconds = self._proof_seconds
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
        task, member = self._task, self._members[0]
        alone = len(task.objective.branches) == 1 and member.form.view.readout.weights is None
        if not alone or self._largest > SOLVED_ROWS or task.seconds_left < LEAST_SECONDS:
            return
        self._tried = True
        split = min(SPLIT, self._outputs[0])
        found = product_program(task, member.inputs, split, SOLVED_SHARE * task.seconds_left)
        if found is not None:
            self._prove(found[0], [found[1]])
        self._stalled = self.best is not None and self.best.bounds[0].upper <= (1 + SOLVED) * task.branch.strength

    def _race(self) -> None:
        """Try the first penalties that are left."""
        while self._penalties and not self._over():
            penalty = self._penalties.pop(0)
            splitting = self._begun()
            splitting.rescale(penalty)
            value = self._round(splitting)
            if value < self._course.reached:
                self._penalties.clear()
                return
            self._splitting, self._course = splitting, PenaltyCourse(value)

    def _begun(self) -> Splitting:
        """A splitting from the networks at hand."""
        coarse = torch.float32 if self._largest > FEW_ROWS else torch.float64
        inputs: list[Tensor | None] = [None] * len(self._networks)
        for member in self._members:
            inputs[member.index] = member.inputs
        splitting = Splitting(self._task.objective, inputs, coarse)
        centers = {member.index: member.center for member in self._members}
        for index, (part, network) in enumerate(zip(splitting.parts, self._networks, strict=True)):
            part.start(network, centers.get(index))
        return splitting

    def _climb(self) -> None:
        """Go on with the winner."""
        splitting = self._splitting
        while splitting is not None and not self._over():
            rise = self._rise()
            if rise <= WORTHY_RISE and self._divides(splitting):
                before = sum(len(part.blocks) for part in splitting.rows)
                for part, outputs in self._undivided(splitting):
                    part.divide(min(SPLIT, outputs))
                self._proof_seconds *= sum(len(part.blocks) for part in splitting.rows) / before
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
        seconds = LEAST_BLOCK_ROUNDS * 2**SPLIT * self._round_seconds
        numbers = sum(ARRAYS * 2**SPLIT * len(member.inputs) ** 2 for member in self._members)
        fits = seconds <= self._task.seconds_left and 8 * numbers <= LARGEST_BYTES
        return fits and bool(self._undivided(splitting))

    def _undivided(self, splitting: Splitting) -> list[tuple[RowsPart, int]]:
        """Parts that may be divided, with their numbers of score columns."""
        pairs = zip(splitting.rows, self._outputs, strict=True)
        return [(part, outputs) for part, outputs in pairs if part.split == 0 and outputs <= MOST_OUTPUTS]

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
        value = self._prove(splitting.gradient, [part.multipliers() for part in splitting.rows])
        ended = time.perf_counter()
        self._proof_seconds, self._round_seconds = ended - proven, ended - begun
        return value

    def _prove(self, candidate: Tensor, multipliers: list[tuple[ProductMultipliers, ...]]) -> float:
        """The dual value that a candidate proves, kept if it is the best; −inf if none."""
        found = self._proven(candidate, multipliers)
        if found is None:
            return -math.inf
        if self.best is None or found.value > self.best.value:
            self.best = found
            interval = 0.0, max(self._ratios(found.bounds))
            self._task.listener(Progress("bounding", lower_bound=found.value, polar=interval, detail="products"))
        return found.value

    def _ratios(self, bounds: tuple[PolarBound, ...]) -> list[float]:
        """Bounds in units of λ."""
        branches = self._task.objective.branches
        return [bound.upper / branch.strength for branch, bound in zip(branches, bounds, strict=True)]

    def _proven(self, candidate: Tensor, multipliers: list[tuple[ProductMultipliers, ...]]) -> Found | None:
        task = self._task
        try:
            dual = feasible_dual(task.objective, candidate)
        except InfeasibleDualError:
            return None
        own = {
            member.index: member.bound(task, dual, found)
            for member, found in zip(self._members, multipliers, strict=True)
        }
        bounds = tuple(
            own[i] if i in own else spectral_bound(replace(task, index=i, dual=dual, target=0.0))
            for i in range(len(task.objective.branches))
        )
        most = max(self._ratios(bounds))
        if not 0 < most < math.inf:
            return None
        value = best_scale(task.objective, dual, 1 / most).value
        lost = dual_value_estimate(task.objective, dual) - value
        self._excess = lost / (task.needed - value) if value < task.needed else 0.0
        return Found(dual, bounds, value)


def columns_of(branch: Branch, outputs: int) -> int:
    """Number m of score columns of a branch of rows or singular values, for c outputs."""
    return branch.table.readout.weights_of(outputs)
