"""Ascent of |Sᵀσ(Hu)| over |u| ≤ 1 in reduced coordinates, batched over directions.

Two phases. First, projected gradient ascent with a step size per start. Then, from the best ends, the convex-concave
procedure: with v = Sᵀσ(Hu)/|·|, q = Sv, r = (s₊ − s₋) q and beside it the linear part s₋ Hᵀq, linearize the convex part
Σ_{r_i>0} r_i (h_i u)_+ at u and maximize exactly the concave rest, max_{|u|≤1} gᵀu − Σ_{r_j<0} |r_j|(h_j u)_+ =
min_{0≤s≤1} |g − Σ|r_j|s_j h_j|, a bounded least squares problem whose residual is the next u (Yuille and Rangarajan
2003), here solved roughly and accepted only where it ascends. Last, the best end is replaced by the maximum over its
closed activation cell, kinks included: max_{u in cell, |u|≤1} gᵀu = min_{α≥0} |g + Hᵀdiag(±1)α|, a nonnegative least
squares problem.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import final

import torch
from scipy.optimize import nnls
from torch import Tensor

from certify.bounds.rows.responses import TINY
from certify.problem import Slopes

GRADIENT_STEPS = 120
MERGE_EVERY = 20
POLISHED = 12
CONCAVE_STEPS = 15
LEAST_SQUARES_STEPS = 80
CELL_STEPS = 6
CELL_ITERATIONS = 400
# The free bias is held at its best value by a heavy row in the least squares problem.
FREE_AXIS_WEIGHT = 100.0
# Directions this close (1 − cosine) count as one witness.
SAME_DIRECTION = 1e-6
# Relative gain below which a step counts as none.
SMALLEST_GAIN = 1e-12


@final
@dataclass(frozen=True, slots=True)
class DirectionSearch:
    """Ascent for one fixed S.

    Attributes:
        rows: H in reduced coordinates, (N, k).
        scores: S, (N, m).
        slopes: of σ.
        free_axis: index of the column of a free bias, the last, or None.
        deadline: `time.perf_counter()` value at which to stop.
    """

    rows: Tensor
    scores: Tensor
    slopes: Slopes
    free_axis: int | None
    deadline: float

    def normalized(self, directions: Tensor) -> Tensor:
        """Directions scaled to penalized norm 1; with a free bias, the bias moved to its best value."""
        penalized = directions[:, :-1] if self.free_axis is not None else directions
        size = torch.linalg.vector_norm(penalized, dim=1, keepdim=True)
        directions = torch.where(size > 0, directions / size.clamp_min(TINY), 0.0)
        return directions if self.free_axis is None else self._with_best_bias(directions)

    def _with_best_bias(self, directions: Tensor) -> Tensor:
        """The objective is piecewise linear in the bias: its maximum is at a breakpoint b = −h_i w."""
        scale = self.rows[0, -1]
        ahead = directions[:, :-1] @ self.rows[:, :-1].T
        order = ahead.argsort(dim=1, descending=True)
        sorted_ahead = ahead.gather(1, order)
        weights = self.scores[order]
        mass = weights.cumsum(1)
        moment = (weights * sorted_ahead[:, :, None]).cumsum(1)
        response = self.slopes.bend * (moment - sorted_ahead[:, :, None] * mass) + self.slopes.negative * moment[:, -1:]
        values = torch.linalg.vector_norm(response, dim=2)
        best = values.argmax(1, keepdim=True)
        bias = -sorted_ahead.gather(1, best) / scale
        return torch.cat([directions[:, :-1], bias], 1)

    def response(self, directions: Tensor) -> Tensor:
        """Sᵀσ(H u) of every direction, (s, m)."""
        return self.slopes.of(directions @ self.rows.T) @ self.scores

    def values(self, directions: Tensor) -> Tensor:
        """|Sᵀσ(H u)|, (s,)."""
        sizes: Tensor = torch.linalg.vector_norm(self.response(directions), dim=1)
        return sizes

    def _gradient(self, directions: Tensor) -> tuple[Tensor, Tensor]:
        hidden = directions @ self.rows.T
        response = self.slopes.of(hidden) @ self.scores
        size = torch.linalg.vector_norm(response, dim=1)
        unit = response / size.clamp_min(TINY)[:, None]
        slope = self.slopes.at(hidden) * (unit @ self.scores.T)
        return size, slope @ self.rows

    def gradient_phase(self, starts: Tensor) -> Tensor:
        """Every start's best point; a step that does not ascend is undone and halved."""
        best = self.normalized(starts)
        value, gradient = self._gradient(best)
        step = torch.ones_like(value)
        for number in range(1, GRADIENT_STEPS + 1):
            if self._late():
                break
            length = torch.linalg.vector_norm(gradient, dim=1).clamp_min(TINY)
            trial = self.normalized(best + (step / length)[:, None] * gradient)
            trial_value, trial_gradient = self._gradient(trial)
            better = trial_value > value
            best = torch.where(better[:, None], trial, best)
            gradient = torch.where(better[:, None], trial_gradient, gradient)
            value = torch.where(better, trial_value, value)
            step = torch.where(better, step * 1.5, step * 0.5)
            if number % MERGE_EVERY == 0:
                # Starts that have met go on as one.
                kept = leaders(best, value)
                best, value, gradient, step = best[kept], value[kept], gradient[kept], step[kept]
        return best

    def polish_phase(self, found: Tensor) -> Tensor:
        """Convex-concave steps from the best distinct directions, then the best one's cell; nothing is lost."""
        value = self.values(found)
        best_first = leaders(found, value)[:POLISHED]
        ends, value = found[best_first], value[best_first]
        for _ in range(CONCAVE_STEPS):
            if self._late():
                break
            trial = self.normalized(self._concave_step(ends))
            trial_value = self.values(trial)
            better = trial_value > value * (1 + SMALLEST_GAIN)
            if not bool(better.any()):
                break
            ends = torch.where(better[:, None], trial, ends)
            value = torch.where(better, trial_value, value)
        best = ends[value.argmax()][None]
        return torch.cat([found, ends, *self._cell_phase(best)])

    def _late(self) -> bool:
        """Whether the deadline has passed."""
        return time.perf_counter() >= self.deadline

    def _cell_phase(self, direction: Tensor) -> list[Tensor]:
        value, steps = float(self.values(direction)[0]), []
        for _ in range(CELL_STEPS):
            if self._late():
                break
            direction = self.normalized(self._cell_maximum(direction[0])[None])
            steps.append(direction)
            trial_value = float(self.values(direction)[0])
            if not trial_value > value * (1 + SMALLEST_GAIN):
                break
            value = trial_value
        return steps

    def _parts(self, directions: Tensor) -> tuple[Tensor, Tensor]:
        """What rectified and linear part weigh the rows with at the best v of every direction, (s, N) each."""
        response = self.response(directions)
        unit = response / torch.linalg.vector_norm(response, dim=1, keepdim=True).clamp_min(TINY)
        weights = unit @ self.scores.T
        return self.slopes.bend * weights, self.slopes.negative * weights

    def _concave_step(self, directions: Tensor) -> Tensor:
        """Residuals g − Σ s_j |r_j| h_j, (s, k), of the bounded least squares problems by accelerated projection."""
        rectified, linear = self._parts(directions)
        active = directions @ self.rows.T > 0
        gain = (torch.where(active & (rectified > 0), rectified, 0.0) + linear) @ self.rows * self._axis_weight()
        cost, rows = (-rectified).clamp_min(0), self.rows * self._axis_weight()
        curvature = torch.linalg.matrix_norm(rows, 2) * cost.amax(1, keepdim=True)
        step = 1 / (curvature**2).clamp_min(TINY)
        share = active.to(rows)
        ahead, momentum = share, 1.0
        for _ in range(LEAST_SQUARES_STEPS):
            residual = gain - (ahead * cost) @ rows
            moved = (ahead + step * cost * (residual @ rows.T)).clamp(0, 1)
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead = moved + (momentum - 1) / following * (moved - share)
            share, momentum = moved, following
        residuals: Tensor = (gain - (share * cost) @ rows) / self._axis_weight()
        return residuals

    def _cell_maximum(self, direction: Tensor) -> Tensor:
        rectified, linear = (part[0] for part in self._parts(direction[None]))
        signs = torch.where(self.rows @ direction > 0, 1.0, -1.0).to(self.rows)
        rows = self.rows * self._axis_weight()
        gain = rows.T @ (torch.where(signs > 0, rectified, 0.0) + linear)
        walls = (signs[:, None] * rows).T
        try:
            shares, _ = nnls((-walls).cpu().numpy(), gain.cpu().numpy(), maxiter=CELL_ITERATIONS)
        except (RuntimeError, ValueError):  # iteration limit, or overflow: keep the direction that came in
            return direction
        return (gain + walls @ torch.from_numpy(shares).to(rows)) / self._axis_weight()

    def _axis_weight(self) -> Tensor:
        weight = torch.ones_like(self.rows[0])
        if self.free_axis is not None:
            weight[self.free_axis] = FREE_AXIS_WEIGHT
        return weight


def leaders(directions: Tensor, value: Tensor) -> Tensor:
    """Places of the best of every group of nearly equal directions, best first."""
    order = value.argsort(descending=True)
    unit = torch.nn.functional.normalize(directions[order], dim=1)
    first = (unit @ unit.T > 1 - SAME_DIRECTION).to(torch.int8).argmax(1)
    leads: Tensor = order[first == torch.arange(len(order), device=order.device)]
    return leads
