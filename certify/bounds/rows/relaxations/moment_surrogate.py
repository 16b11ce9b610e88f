"""Moments by L-BFGS over their factors, with the dual point and the majorants that they stand for.

The programs of `moment_programs` are convex in Y = V Vᵀ, so a local minimum over V is a global one once V is rank
deficient (Burer and Monteiro 2005); columns are added until it is. A step costs one product of the rows with V. Every
round the multipliers are proven by `majorant_upper`, whatever the moments, and the best outcome is kept.
"""

from __future__ import annotations

import math
import time
from typing import final

import torch
from torch import Tensor

from certify.bounds.polar import PolarTask
from certify.bounds.proof import ScalarMajorant
from certify.bounds.rows.kinked_scores import KinkedScores, kinked_scores
from certify.bounds.rows.relaxations.direction_region import center_of, direction_region
from certify.bounds.rows.relaxations.majorant import majorant_upper
from certify.bounds.rows.relaxations.moment_programs import (
    JointProgram,
    MomentProgram,
    given_dual,
    joint_program,
)
from certify.bounds.rows.relaxations.moments import Moments, Responses, moments, responses, touching
from certify.bounds.rows.relaxations.surrogate_outcome import SurrogateOutcome
from certify.bounds.rows.rows_form import rows_form
from certify.problem import Factors
from certify.problem.dual import InfeasibleDualError, best_scale, feasible_dual
from certify.progress import Progress

# Moments of both signs, S and then −S, with the responses of all rows.
Signs = list[tuple[Moments, Responses]]

# Units of each sign at first.
UNITS = 12
# Sizes of the start that are tried, times the standard normal.
START_SIZES = tuple(10.0**power for power in range(-4, 4))
# Share of noise in the start where it is the network's.
START_NOISE = 0.1
HISTORY, ROUND_STEPS = 30, 60
# Smoothing of roots and maxima, as a share of what is typical; a round that gains less than the share of the value ends
# a level of it.
SMOOTHINGS, LEAST_GAINS = (1e-2, 1e-3, 1e-4), (1e-3, 1e-4, 1e-5)
# Factor on steps that lead to no number.
SHORTER = 0.1
# V counts as rank deficient where its least singular value is below this share of the largest.
RANK_SHARE = 1e-2


def moment_surrogate(task: PolarTask) -> SurrogateOutcome | None:
    """Raise the lower bound of an objective with one branch and one output; None where nothing was proven.

    Raises:
        UnsupportedError: the free input is not constant.
    """
    search = _Search(task, joint_program(task.objective, rows_form(task)))
    search.run()
    return search.best


def moment_majorant(task: PolarTask) -> SurrogateOutcome:
    """Lower the bound on the polar of one branch, with one score column, at the task's own dual point.

    Raises:
        UnsupportedError: the free input is not constant.
    """
    search = _Search(task, given_dual(task.branch, rows_form(task), task.dual))
    search.run()
    if search.best is None:
        raise ArithmeticError("no moments at a given dual point")
    return search.best


@final
class _Search:
    """The descent of one program, and the best outcome that its iterates proved."""

    def __init__(self, task: PolarTask, program: MomentProgram) -> None:
        view = task.branch.table
        self._task, self._program, self._form = task, program, rows_form(task)
        self._center = center_of(view, torch.ones_like(view.rows[:, 0], dtype=torch.bool))
        self._inputs = direction_region(view, self._center, 1.0).inputs
        self._spread = float(torch.linalg.vector_norm(self._inputs)) / math.sqrt(max(len(self._inputs), 1))
        self._generator = torch.Generator(device=view.rows.device).manual_seed(task.seed)
        # Seconds that a step and a proof took last.
        self._step = self._proof = 0.0
        # The dual value proven; at a given dual point −U.
        self._value = -math.inf
        self.best: SurrogateOutcome | None = None

    def run(self) -> None:
        """Descend at every level of smoothing until the bound decides or stalls, or time is out."""
        variables = self._start()
        for smoothing, least_gain in zip(SMOOTHINGS, LEAST_GAINS, strict=True):
            variables = [*self._widened(variables[:2]), variables[2].detach()]
            optimizer = self._optimizer(variables)
            gained = True
            while gained:
                before = self._value
                fallen = self._descend(optimizer, variables, smoothing)
                self._prove(variables, smoothing)
                if self._over():
                    return
                gained = max(self._value - before, fallen) > least_gain * abs(self._value)

    def _start(self) -> list[Tensor]:
        """Factors V of both signs, of the network at hand or at random, whichever is better, and C = 0."""
        rank = min(UNITS, self._inputs.shape[1] + 1)
        drawn = [self._normal(rank) for _ in range(2)]
        coefficients = drawn[0].new_zeros(self._program.coefficients, 1)
        options = [[size * drawn[0], size * drawn[1], coefficients] for size in START_SIZES]
        if len(self._task.network) == 2 and not self._form.view.free_inputs:
            known = [network_factor(self._task.network, sign, rank) for sign in (1.0, -1.0)]
            largest = max(float(torch.linalg.vector_norm(factor)) for factor in known)
            noise = START_NOISE * largest / math.sqrt(drawn[0].numel())
            options.append([*(factor + noise * rest for factor, rest in zip(known, drawn, strict=True)), coefficients])
        with torch.no_grad():
            values = [float(self._evaluate(option, SMOOTHINGS[0])) for option in options]
        return options[min(range(len(values)), key=lambda at: (math.isnan(values[at]), values[at]))]

    def _normal(self, rank: int) -> Tensor:
        shape = self._inputs.shape[1] + 1 + self._form.view.free_inputs, rank
        return torch.randn(shape, generator=self._generator, dtype=self._inputs.dtype, device=self._inputs.device)

    def _widened(self, factors: list[Tensor]) -> list[Tensor]:
        """Both V, with as many columns more, almost zero, where one of them is not rank deficient."""
        factors = [factor.detach() for factor in factors]
        values, (size, rank) = torch.linalg.svdvals(torch.stack(factors)), factors[0].shape
        if self.best is None or rank >= size or bool((values[:, -1] < RANK_SHARE * values[:, 0]).all()):
            return factors
        shares = RANK_SHARE / math.sqrt(size) * values[:, 0]
        extra = [share * self._normal(min(rank, size - rank)) for share in shares]
        return [torch.cat(pair, 1) for pair in zip(factors, extra, strict=True)]

    def _optimizer(self, variables: list[Tensor]) -> torch.optim.LBFGS:
        wanted = [variable.requires_grad_() for variable in variables if variable.numel()]
        options = {"tolerance_grad": 0.0, "tolerance_change": 0.0, "line_search_fn": "strong_wolfe"}
        return torch.optim.LBFGS(wanted, history_size=HISTORY, **options)  # type: ignore[arg-type]

    def _signs(self, variables: list[Tensor], smoothing: float) -> Signs:
        free = self._form.view.free_inputs
        made = [moments(factor, free) for factor in variables[:2]]
        return [(own, responses(self._inputs, own, smoothing * self._spread)) for own in made]

    def _evaluate(self, variables: list[Tensor], smoothing: float) -> Tensor:
        return self._program.value(self._signs(variables, smoothing), variables[2])

    def _descend(self, optimizer: torch.optim.LBFGS, variables: list[Tensor], smoothing: float) -> float:
        """A round of steps, fewer where time is short: by how much the value fell, +inf if to no number; not then."""
        kept = [variable.detach().clone() for variable in variables]
        left = self._task.seconds_left - self._proof
        steps = min(ROUND_STEPS, max(1, int(left / (2 * self._step + 1e-9))))
        optimizer.param_groups[0].update(max_iter=steps, max_eval=2 * steps)
        begun, values = time.perf_counter(), list[float]()

        def closure() -> float:
            optimizer.zero_grad()
            value = self._evaluate(variables, smoothing)
            value.backward()  # type: ignore[no-untyped-call]
            values.append(float(value.detach()))
            return values[-1]

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        self._step = (time.perf_counter() - begun) / len(values)
        if all(bool(torch.isfinite(variable).all()) for variable in variables):
            return values[0] - values[-1]
        with torch.no_grad():
            for variable, value in zip(variables, kept, strict=True):
                variable.copy_(value)
        optimizer.state.clear()
        optimizer.param_groups[0]["lr"] *= SHORTER
        return math.inf if optimizer.param_groups[0]["lr"] > SHORTER**4 else 0.0

    def _over(self) -> bool:
        decided = self._value >= (self._task.needed if isinstance(self._program, JointProgram) else -self._task.target)
        return decided or self._task.seconds_left <= self._proof + self._step

    @torch.no_grad()
    def _prove(self, variables: list[Tensor], smoothing: float) -> None:
        """Keep the outcome of these moments if it is the best, and tell of it."""
        begun, task, branch = time.perf_counter(), self._task, self._task.branch
        signs = self._signs(variables, smoothing)
        dual = self._dual(signs, variables[2])
        if dual is None:
            return
        scores = branch.scores(dual)
        multipliers = self._multipliers(signs, kinked_scores(self._form.slopes, scores))
        upper = majorant_upper(self._form, scores, multipliers)
        value = -upper
        if isinstance(self._program, JointProgram):
            value = best_scale(task.objective, dual, branch.strength / upper if upper > 0 else math.inf).value
        self._proof = time.perf_counter() - begun
        if self.best is None or value > self._value:
            self._value, self.best = value, SurrogateOutcome(dual, upper, multipliers)
            proven = value if isinstance(self._program, JointProgram) else None
            task.listener(Progress("bounding", lower_bound=proven, polar=(0.0, upper / branch.strength)))

    def _dual(self, signs: Signs, coefficients: Tensor) -> Tensor | None:
        if not isinstance(self._program, JointProgram):
            return self._task.dual
        try:
            return feasible_dual(self._task.objective, self._program.dual(signs, coefficients))
        except InfeasibleDualError:
            return None

    def _multipliers(self, signs: Signs, parts: KinkedScores) -> ScalarMajorant:
        columns = [parts.column(0, sign) for sign in (1.0, -1.0)]
        found = [touching(own.rectified, row, of) for own, (of, row) in zip(columns, signs, strict=True)]
        curvatures, slopes, tilts = (torch.stack(values) for values in zip(*found, strict=True))
        axes = torch.stack([of.penalized.T for of, _ in signs])
        offsets = [0.0, 0.0]
        if self._form.view.free_inputs:
            pairs, constant = zip(columns, signs, found, strict=True), float(self._inputs[0, -1])
            offsets = [free_offset(own, of, row, multipliers, constant) for own, (of, row), multipliers in pairs]
        return ScalarMajorant(curvatures, slopes, tilts, axes, self._center, slopes.new_tensor(offsets))


def network_factor(network: Factors, sign: float, rank: int) -> Tensor:
    """V (1 + h, r) of the units (u, v) with v of one sign, rescaled to |u| = |v|, of most of their moments."""
    first, second = network[0], sign * network[1][:, 0]
    lengths = torch.linalg.vector_norm(first, dim=1)
    kept: Tensor = (second > 0) & (lengths > 0)
    columns = torch.cat([torch.ones_like(second)[None], (first / lengths[:, None]).T])[:, kept]
    columns = columns * (second * lengths)[kept].sqrt()
    left, values, _ = torch.linalg.svd(columns, full_matrices=False)
    factor: Tensor = columns.new_zeros(len(columns), rank)
    factor[:, : min(len(values), rank)] = (left * values)[:, :rank]
    return factor


def free_offset(
    scores: KinkedScores, of: Moments, found: Responses, multipliers: tuple[Tensor, Tensor, Tensor], constant: float
) -> float:
    """τ' − τ, for the levels of a free coordinate and of the others at which the majorant touches at the moments; or 0.

    With G = M U + lin vᵀ/2 the levels are Σ G ∘ U over their rows, divided by Σ U ∘ U.
    """
    curvatures, slopes, tilts = multipliers
    bias, slant = of.directions[-1], (scores.rectified - slopes) / 2 + scores.linear
    turned = tilts @ (of.penalized.T @ of.penalized)
    pull = curvatures[:, None] * found.single - turned / 2
    total = (pull * found.single).sum() + slant @ found.mean / 2
    # The last row of X is constant, and of XᵀW + WᵀX it meets the first only.
    own = constant * (((pull + turned / 4).sum(0) + slant.sum() * of.heights / 2) @ bias)
    offset = float((own / bias.square().sum()).clamp_min(0) - (total - own) / of.mass)
    return offset if math.isfinite(offset) else 0.0
