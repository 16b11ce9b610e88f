"""Products of rows with hubs, chosen with the dual point by an augmented Lagrangian over factors of moments.

Hubs are the rows that count most, |A_i||x_i|, at the task's dual point. Every round the multipliers are proven by
`majorant_upper`, whatever the moments, and the best outcome is kept.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from certify.bounds.polar import PolarTask
from certify.bounds.rows.kinked_scores import kinked_scores
from certify.bounds.rows.relaxations.direction_region import center_of, direction_region
from certify.bounds.rows.relaxations.hub_moments import HubMoments, hub_moments, projected
from certify.bounds.rows.relaxations.hub_multipliers import hub_multipliers, shifted
from certify.bounds.rows.relaxations.majorant import majorant_upper
from certify.bounds.rows.relaxations.moment_programs import Signs, joint_program
from certify.bounds.rows.relaxations.moment_surrogate import network_factor
from certify.bounds.rows.relaxations.moments import TINY, moments
from certify.bounds.rows.relaxations.surrogate_outcome import SurrogateOutcome
from certify.bounds.rows.rows_form import rows_form
from certify.problem.dual import InfeasibleDualError, best_scale, feasible_dual
from certify.progress import Progress

HUBS, UNITS = 32, 16
# Share of noise in the start, which is the network's.
NOISE = 0.05
# Rows nearer to each other than this cosine make one hub.
ALIKE = 0.99
HISTORY, ROUND_STEPS = 20, 120
# The first penalty on violations, times the objective over the squared mass of the network; for products of rows in
# total that of so many. It grows where they do not fall by half.
PENALTY, ROWS, GROWTH = 100.0, 8.0, 1.15
# After so many rounds without a rise by this share it is over.
PATIENCE, LEAST_RISE = 12, 1e-4
# Shifts of the products of pairs that are tried, relative to their size.
SHIFTS = tuple(10.0**power for power in range(-7, 1))


def hub_surrogate(task: PolarTask) -> SurrogateOutcome | None:
    """Raise the lower bound of an objective with one branch and one output, from a network; None where none was proven.

    Raises:
        UnsupportedError: the free input is not constant.
    """
    search = _Search(task)
    search.run()
    return search.best


def chosen_rows(inputs: Tensor, weights: Tensor, count: int) -> Tensor:
    """The directions of so many rows (N, h) of the largest weights (N,), without those that are almost parallel."""
    lengths = torch.linalg.vector_norm(inputs, dim=1)
    unit, weights = inputs / lengths.clamp_min(TINY)[:, None], weights.abs() * lengths
    found = list[Tensor]()
    while len(found) < count and bool((weights > 0).any()):
        found.append(unit[int(weights.argmax())])
        weights = torch.where((unit @ found[-1]).abs() > ALIKE, 0.0, weights)
    return torch.stack(found) if found else unit[:0]


@final
class _Search:
    """The descent, and the best outcome that its iterates proved."""

    def __init__(self, task: PolarTask) -> None:
        view = task.branch.table
        self._task, self._form = task, rows_form(task)
        self._program = joint_program(task.objective, self._form)
        self._center = center_of(view, torch.ones_like(view.rows[:, 0], dtype=torch.bool))
        self._region = direction_region(view, self._center, 1.0)
        self._inputs = self._region.inputs
        self._reach = torch.linalg.vector_norm(self._inputs, dim=1).clamp_min(TINY)[:, None]
        self._generator = torch.Generator(device=view.rows.device).manual_seed(task.seed)
        self._directions = chosen_rows(self._inputs, task.scores[:, 0], HUBS)
        self._shares = [ROWS / len(self._inputs), 1.0] * 2
        self._step = self._proof = 0.0
        self._value, self._values = -math.inf, list[float]()
        self.best: SurrogateOutcome | None = None

    def run(self) -> None:
        """Descend, raise multipliers and prove until the bound decides or time is out."""
        variables = self._start()
        with torch.no_grad():
            found = self._moments(variables)
            mass = sum(float(own.units.mass) for own in found)
            penalty = PENALTY * float(self._program.value(_signs(found), variables[-1])) / max(mass, TINY) ** 2
            multipliers = [[torch.zeros_like(part) for part in self._products(own)] for own in found]
        worst = math.inf
        while True:
            self._descend(variables, multipliers, penalty)
            with torch.no_grad():
                found = self._moments(variables)
                raised = [self._raised(own, old, penalty) for own, old in zip(found, multipliers, strict=True)]
                moved = [
                    (new - old).abs().max() / share
                    for pair in zip(raised, multipliers, strict=True)
                    for new, old, share in zip(*pair, self._shares, strict=True)
                    if new.numel()
                ]
                violation, multipliers = float(torch.stack(moved).max()) / penalty, raised
                self._prove(found, multipliers, variables[-1])
                self._values.append(self._value)
            if self._over():
                return
            penalty *= GROWTH if violation > worst / 2 else 1.0
            worst = violation

    def _over(self) -> bool:
        rises = self._values[-PATIENCE - 1 :]
        stalled = len(rises) > PATIENCE and rises[-1] - rises[0] <= LEAST_RISE * abs(rises[-1])
        late = self._task.seconds_left <= self._proof + self._step
        return late or stalled or self._value >= self._task.needed

    def _start(self) -> list[Tensor]:
        """Factors, c and s of both signs of the network at hand with noise, and C = 0."""
        variables, rank = list[Tensor](), UNITS
        for sign in (1.0, -1.0):
            factor = self._noisy(network_factor(self._task.network, sign, rank))
            units = moments(factor, 0)
            single, turned = self._inputs @ units.directions, self._directions @ units.directions
            spare = 0.3 * torch.linalg.vector_norm(single, dim=1, keepdim=True)
            variables += [factor, torch.cat([self._noisy(single.abs()), spare], 1), self._noisy(turned.abs())]
        variables.append(factor.new_zeros(self._program.coefficients, 1))
        return [variable.requires_grad_() for variable in variables]

    def _noisy(self, values: Tensor) -> Tensor:
        size = NOISE * float(torch.linalg.vector_norm(values)) / math.sqrt(max(values.numel(), 1))
        return values + size * torch.randn(values.shape, generator=self._generator).to(values)

    def _moments(self, variables: list[Tensor]) -> list[HubMoments]:
        return [
            hub_moments(moments(factor, 0), self._inputs, self._directions, steep, apart)
            for factor, steep, apart in (variables[:3], variables[3:6])
        ]

    def _products(self, found: HubMoments) -> list[Tensor]:
        return found.products(torch.cat([self._reach, self._reach]))

    def _raised(self, found: HubMoments, multipliers: list[Tensor], penalty: float) -> list[Tensor]:
        pairs = zip(multipliers, self._products(found), strict=True)
        return projected(
            [old - penalty * share * product for (old, product), share in zip(pairs, self._shares, strict=True)]
        )

    def _lagrangian(self, variables: list[Tensor], multipliers: list[list[Tensor]], penalty: float) -> Tensor:
        found = self._moments(variables)
        total = self._program.value(_signs(found), variables[-1])
        for own, old in zip(found, multipliers, strict=True):
            raised = zip(self._raised(own, old, penalty), self._shares, strict=True)
            total = total + sum(new.square().sum() / share for new, share in raised) / (2 * penalty)
        return total

    def _descend(self, variables: list[Tensor], multipliers: list[list[Tensor]], penalty: float) -> None:
        wanted = [variable for variable in variables if variable.numel()]
        left = self._task.seconds_left - self._proof
        steps = min(ROUND_STEPS, max(1, int(left / (2 * self._step + 1e-9))))
        options = {"tolerance_grad": 0.0, "tolerance_change": 0.0, "line_search_fn": "strong_wolfe"}
        optimizer = torch.optim.LBFGS(wanted, max_iter=steps, history_size=HISTORY, **options)  # type: ignore[arg-type]
        begun, evaluations = time.perf_counter(), 0

        def closure() -> float:
            nonlocal evaluations
            evaluations += 1
            optimizer.zero_grad()
            value = self._lagrangian(variables, multipliers, penalty)
            value.backward()  # type: ignore[no-untyped-call]
            return float(value.detach())

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        self._step = (time.perf_counter() - begun) / evaluations

    def _prove(self, found: list[HubMoments], multipliers: list[list[Tensor]], coefficients: Tensor) -> None:
        """Keep the outcome of these moments and multipliers if it is the best, and tell of it."""
        begun, task, branch = time.perf_counter(), self._task, self._task.branch
        try:
            dual = feasible_dual(task.objective, self._program.dual(_signs(found), coefficients))
        except InfeasibleDualError:
            return
        scores = branch.scores(dual)
        made = hub_multipliers(
            self._region, self._directions, found, multipliers, kinked_scores(self._form.slopes, scores)
        )
        made = replace(made, center=self._center)
        options = [shifted(made, shift * branch.strength) for shift in SHIFTS]
        upper, at = min((majorant_upper(self._form, scores, option), at) for at, option in enumerate(options))
        value = best_scale(task.objective, dual, branch.strength / upper if upper > 0 else math.inf).value
        self._proof = time.perf_counter() - begun
        if self.best is None or value > self._value:
            self._value, self.best = value, SurrogateOutcome(dual, upper, options[at])
            task.listener(Progress("bounding", lower_bound=value, polar=(0.0, upper / branch.strength)))


def _signs(found: list[HubMoments]) -> Signs:
    return [(own.units, own) for own in found]
