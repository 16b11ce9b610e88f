"""Unconstrained coordinates θ (n, c) of the dual points of an objective.

The domain of l* is entered through a smooth bijection: ω (lo + (hi − lo) sigmoid θ) for an interval, an exponential
for a half line, a multiple of θ for a line, ω (C softmax θ − y) for cross-entropy. Each is the gradient of a convex
function, so EᵀA(θ + E δ) = 0 over the free rows is solved for δ by Newton's method, differentiably in θ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.problem import Objective
from certify.problem.dual import has_free_intercept
from certify.problem.losses.loss import EntrywiseLoss

# Shares of the interval within which a starting point is moved, so that its coordinates are finite.
INTERIOR = 1e-6
LARGEST_LOGIT = 25.0
NEWTON_STEPS = 30
NEWTON_TOLERANCE = 1e-13


@final
@dataclass(frozen=True, slots=True)
class DualChart:
    """Coordinates around a starting dual point.

    Attributes:
        objective: whose dual points are described.
        unit: size of one coordinate step on a domain without bounds.
        constraints: E, (n, k), the columns that A must be orthogonal to.
    """

    objective: Objective
    unit: float
    constraints: Tensor

    def dual(self, logits: Tensor) -> Tensor:
        """A (n, c) at coordinates θ (n, c), orthogonal to the constraints as far as Newton's method goes."""
        if self.constraints.shape[1] == 0:
            return self._image(logits)
        with torch.no_grad():
            shift = self._shift(logits)
        moved = logits + self.constraints @ shift
        with torch.no_grad():
            inverse = torch.linalg.pinv(self._system(moved), hermitian=True)
        # One Newton step with a constant matrix carries the derivative of the implicit δ(θ).
        last = (inverse @ (self.constraints.T @ self._image(moved)).flatten()).reshape(shift.shape)
        return self._image(moved - self.constraints @ last)

    def logits(self, dual: Tensor) -> Tensor:
        """Coordinates of a dual point (n, c) near A, strictly inside the domain."""
        loss = self.objective.loss
        share = dual / torch.where(loss.weights > 0, loss.weights, 1.0)
        if not isinstance(loss, EntrywiseLoss):
            return (share + loss.targets).clamp_min(INTERIOR).log()
        low, high = loss.atom_domain(loss.targets)
        between = ((share - low) / (high - low)).clamp(INTERIOR, 1 - INTERIOR).logit()
        above = (share - low).clamp_min(INTERIOR).log()
        below = -(high - share).clamp_min(INTERIOR).log()
        return _by_kind(low, high, (between, above, below, share / self.unit))

    def conjugate(self, dual: Tensor) -> Tensor:
        """l*(A) − <A, Z_0> + Σ_{μ_j>0} |E_jᵀA|²/(2μ_j) with gradient, for A from this chart times s in (0, 1]."""
        loss, convex = self.objective.loss, self.objective.convex
        moments = convex.features[:, ~convex.free].T @ dual
        rest = (moments**2 / (2 * convex.ridge[~convex.free])[:, None]).sum()
        if self.objective.offset is not None:
            rest = rest - (self.objective.offset * dual).sum()
        if isinstance(loss, EntrywiseLoss):
            return loss.conjugate_terms(dual).sum() + rest
        total = loss.targets.sum(1, keepdim=True)
        live = (loss.weights > 0) & (total > 0)
        mass = torch.where(live, loss.weights * total, 1.0)
        share = torch.where(live, (dual + loss.weights * loss.targets) / mass, 1.0).clamp_min(1e-300)
        total_conjugate: Tensor = (mass * torch.special.xlogy(share, share)).sum() + rest
        return total_conjugate

    def _image(self, logits: Tensor) -> Tensor:
        """The bijection, ω · α(θ)."""
        loss = self.objective.loss
        if not isinstance(loss, EntrywiseLoss):
            mass = loss.targets.sum(1, keepdim=True)
            return loss.weights * (mass * torch.softmax(logits, 1) - loss.targets)
        low, high, bent = self._interval(loss, logits)
        between = low.nan_to_num(neginf=0.0) + (high - low).nan_to_num(posinf=0.0) * bent.sigmoid()
        above = low.nan_to_num(neginf=0.0) + bent.exp()
        below = high.nan_to_num(posinf=0.0) - (-bent).exp()
        return loss.weights * _by_kind(low, high, (between, above, below, self.unit * logits))

    def _derivative(self, logits: Tensor, direction: Tensor) -> Tensor:
        """Change (n, c) of the image along a direction (n, c) of θ."""
        loss = self.objective.loss
        if not isinstance(loss, EntrywiseLoss):
            share = torch.softmax(logits, 1)
            mass = loss.targets.sum(1, keepdim=True)
            return loss.weights * mass * share * (direction - (share * direction).sum(1, keepdim=True))
        low, high, bent = self._interval(loss, logits)
        between = (high - low).nan_to_num(posinf=0.0) * bent.sigmoid() * (-bent).sigmoid()
        unit = torch.full_like(bent, self.unit)
        return loss.weights * direction * _by_kind(low, high, (between, bent.exp(), (-bent).exp(), unit))

    @staticmethod
    def _interval(loss: EntrywiseLoss, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return *loss.atom_domain(loss.targets), logits.clamp(-LARGEST_LOGIT, LARGEST_LOGIT)

    def _shift(self, logits: Tensor) -> Tensor:
        """δ (k, c) with EᵀA(θ + E δ) near 0."""
        shift = logits.new_zeros(self.constraints.shape[1], logits.shape[1])
        for _ in range(NEWTON_STEPS):
            moved = logits + self.constraints @ shift
            image = self._image(moved)
            moments = self.constraints.T @ image
            if bool((moments.abs() <= NEWTON_TOLERANCE * (self.constraints.abs().T @ image.abs())).all()):
                break
            step = torch.linalg.pinv(self._system(moved), hermitian=True) @ moments.flatten()
            shift = shift - step.clamp(-1, 1).reshape(shift.shape)
        return shift

    def _system(self, logits: Tensor) -> Tensor:
        """Derivative of EᵀA(θ + E δ) in δ, (k c, k c)."""
        k, c = self.constraints.shape[1], logits.shape[1]
        basis = torch.eye(k * c, dtype=logits.dtype, device=logits.device).reshape(k * c, k, c)
        columns = [self.constraints.T @ self._derivative(logits, self.constraints @ block) for block in basis]
        system = torch.stack([column.flatten() for column in columns])
        return (system + system.T) / 2


def dual_chart(objective: Objective, start: Tensor) -> DualChart:
    """The chart of `objective` with units fit for the dual point `start` (n, c)."""
    weights = objective.loss.weights
    share = start / torch.where(weights > 0, weights, 1.0)
    unit = float(share.square().mean().sqrt()) if share.numel() else 1.0
    constraints = objective.convex.features[:, objective.convex.free]
    if has_free_intercept(objective) and not bool((constraints == 1).all(0).any()):
        constraints = torch.cat([constraints, torch.ones_like(weights[:, :1])], 1)
    return DualChart(objective, unit or 1.0, constraints)


def _by_kind(low: Tensor, high: Tensor, values: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """Entries for an interval, a half line upward, a half line downward and the whole line."""
    between, above, below, free = values
    bounded_below, bounded_above = torch.isfinite(low), torch.isfinite(high)
    half = torch.where(bounded_below, above, torch.where(bounded_above, below, free))
    return torch.where(bounded_below & bounded_above, between, half)
