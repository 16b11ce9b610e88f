"""The dual point of the relaxation of a whole factorization problem, where the polar has no exact bound.

    min l(Z₀ + E C + B(S₁₂)) + (λ/2) (g(S₁₁) + g'(S₂₂)) + ridge(C)   over   S ⪰ 0 and C,

B(W) the outputs of the weights W = Σ u vᵀ, S₁₂ ≥ 0 where both factors are, and g the gauge of the products that the
ball of u allows: every network is a point of it. ∇l at its optimum is the dual point that the semidefinite bound serves
best. Alternating directions on S ⪰ 0 and the rest, with linearized steps in S₁₂ and C, from the network at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast, final

import torch
from torch import Tensor

from certify.bounds.bilinear.coupling import coupling_of, extents_of, norms_of, outputs_of
from certify.bounds.bilinear.semidefinite import MOST_RELAXED, bound_from_multiplier, semidefinite_applies
from certify.bounds.bilinear.splitting import CHANGE, IMBALANCE, STEPS, positive_part
from certify.bounds.polar import PolarBound, PolarTask
from certify.problem import SideNorm
from certify.problem.dual import InfeasibleDualError, feasible_dual
from certify.problem.side_norm import onto_l1_ball

# Linearized steps on S₁₂ in each step, and most looks at residuals.
INNER_STEPS, MOST_LOOKS = 3, 200
# Doublings of the bend of a parabola, and the share of the loss by which it counts as borne out.
DOUBLINGS, ROUNDING = 60, 1e-14
# Residuals below this share of the size of S end it.
CLOSE = 1e-6
# Where it went on from, among what methods keep.
KEPT = "joint factors"


def joint_forms_apply(task: PolarTask) -> bool:
    """Whether the semidefinite bound is in use, and within reach again and again."""
    convex = task.objective.convex
    if not semidefinite_applies(task) or convex.features.shape[1] > 1 or convex.groups:
        return False
    return sum(extents_of(task)) <= MOST_RELAXED


def joint_forms(task: PolarTask) -> list[tuple[Tensor, PolarBound]]:
    """The dual point of the relaxation, with its bound."""
    state = cast("_State | None", task.kept.get(KEPT)) or _start(task)
    problem = _Problem(task)
    for _ in range(MOST_LOOKS):
        if state.apart <= CLOSE or task.seconds_left == 0:
            break
        state = problem.advanced(state)
    task.kept[KEPT] = state
    gradient = task.objective.loss.gradient(problem.outputs(state.weights(problem.rows), state.coefficients))
    try:
        dual = feasible_dual(task.objective, gradient)
    except InfeasibleDualError:
        return []
    return [(dual, bound_from_multiplier(replace(task, dual=dual), state.multiplier))]


@final
@dataclass(frozen=True, slots=True)
class _State:
    """S and its multiplier Y (k + m, k + m), C, the penalty parameter, the bend of l, and how far apart copies are."""

    feasible: Tensor
    multiplier: Tensor
    coefficients: Tensor
    rho: float
    bend: float
    apart: float = 1.0

    def weights(self, rows: int) -> Tensor:
        """S₁₂."""
        return self.feasible[:rows, rows:]


def _start(task: PolarTask) -> _State:
    """From the network at hand, balanced, and multipliers that fit small weights."""
    branch, (h, m) = task.branch, extents_of(task)
    stack = task.network if len(task.network) else task.nothing
    sizes = branch.norms(stack)
    both = torch.cat([f * (branch.products(stack).sqrt() / n)[:, None] for f, n in zip(stack, sizes, strict=True)], 1)
    both = both.nan_to_num(0.0, 0.0, 0.0)
    scale = torch.linalg.eigvalsh(both.T @ both)[-1] if len(both) else both.new_ones(())
    half = branch.strength / 2
    levels = torch.cat([both.new_full((h,), half), both.new_full((m,), half)])
    coefficients = task.objective.empty_network().coefficients
    return _State(both.T @ both, torch.diag(levels), coefficients, half / max(float(scale), 1e-12), 1e-6)


class _Problem:
    """The relaxation."""

    def __init__(self, task: PolarTask) -> None:
        self.objective, self.branch, self.form = task.objective, task.branch, norms_of(task)
        self.rows = extents_of(task)[0]
        self.cones = self.form.left.nonnegative and self.form.right.nonnegative

    def outputs(self, weights: Tensor, coefficients: Tensor) -> Tensor:
        """Z."""
        found = outputs_of(self.branch, weights) + self.objective.convex.features @ coefficients
        return found if self.objective.offset is None else found + self.objective.offset

    def advanced(self, state: _State) -> _State:
        """After some steps."""
        feasible, y, rho = state.feasible, state.multiplier, state.rho
        coefficients, bend = state.coefficients, state.bend
        for _ in range(STEPS):
            whole = positive_part(feasible - y / rho)
            before = feasible
            feasible, coefficients, bend = self._nearest(whole + y / rho, feasible, coefficients, rho, bend)
            y = y + rho * (whole - feasible)
        apart, moved = float((whole - feasible).norm()), float((feasible - before).norm())
        size = max(float(feasible.norm()), 1e-300)
        left = max(apart, moved) / size
        if apart > IMBALANCE * moved:
            rho *= CHANGE
        elif moved > IMBALANCE * apart:
            rho /= CHANGE
        return _State(feasible, y, coefficients, rho, bend, left)

    def _nearest(
        self, goal: Tensor, start: Tensor, coefficients: Tensor, rho: float, bend: float
    ) -> tuple[Tensor, Tensor, float]:
        """About the minimizer of everything but S ⪰ 0, plus ρ/2 the squared distance from the goal."""
        k, level = self.rows, self.branch.strength / (2 * rho)
        found = goal.clone()
        found[:k, :k] = _shrunk_products(self.form.left, goal[:k, :k], level)
        found[k:, k:] = _shrunk_products(self.form.right, goal[k:, k:], level)
        weights, target = start[:k, k:], (goal[:k, k:] + goal[k:, :k].T) / 2
        for _ in range(INNER_STEPS):
            weights, coefficients, bend = self._step(weights, target, coefficients, rho, bend / 2)
        found[:k, k:], found[k:, :k] = weights, weights.T
        return found, coefficients, bend

    def _step(
        self, weights: Tensor, target: Tensor, coefficients: Tensor, rho: float, bend: float
    ) -> tuple[Tensor, Tensor, float]:
        """One step on l(W, C) + ρ|W − V|², l replaced by a parabola of the least bend that bears it out."""
        outputs, convex = self.outputs(weights, coefficients), self.objective.convex
        slope = self.objective.loss.gradient(outputs)
        value = self._smooth(outputs, coefficients)
        pull = -coupling_of(self.branch, self.branch.scores(slope))
        lean = convex.features.T @ slope + convex.ridge[:, None] * coefficients
        for _ in range(DOUBLINGS):
            moved = (2 * rho * target + bend * weights - pull) / (2 * rho + bend)
            moved = moved.clamp_min(0) if self.cones else moved
            shifted = coefficients - lean / bend
            way, shift = moved - weights, shifted - coefficients
            square = float((way**2).sum() + (shift**2).sum())
            linear = float((pull * way).sum() + (lean * shift).sum())
            most = value + linear + bend / 2 * square + ROUNDING * abs(value)
            if self._smooth(self.outputs(moved, shifted), shifted) <= most:
                break
            bend *= 2
        return moved, shifted, bend

    def _smooth(self, outputs: Tensor, coefficients: Tensor) -> float:
        ridge = (self.objective.convex.ridge[:, None] / 2 * coefficients**2).sum()
        return float(self.objective.loss.value_terms(outputs).sum() + ridge)


def _shrunk_products(side: SideNorm, block: Tensor, level: float) -> Tensor:
    """The minimizer of |T − block|²/2 + level g(T) over the cone, g the gauge of `SideNorm.squares`."""
    diagonal, product, most = side.squares(len(block))
    found = side.felt(block).clone()
    found.diagonal().clamp_min_(0)
    if side.linf:
        sizes = found.diagonal().clone()[None]
        radius = sizes.new_full((1, 1), level / most)
        found.diagonal().copy_((sizes - onto_l1_ball(sizes, radius))[0])
        return found
    weights = product + diagonal * torch.eye(len(block)).to(block)
    return found.sign() * (found.abs() - level * weights).clamp_min(0)
