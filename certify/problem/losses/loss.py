"""A loss is a convex function of the outputs Z (n, c), with its gradient, conjugate and dual domain.

Every loss is a weighted sum of atoms, l(Z) = Σ_i ω_i l0(z_i, y_i), so that by MATH of conjugates
l*(A) = Σ_i ω_i l0*(a_i / ω_i), and A must vanish where ω does. Reduction, scale, sample weights and
mask are all folded into ω. Source: Rockafellar 1970, Theorem 16.1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from certify.problem.losses.targets import Allowed, real_targets, require_range
from certify.problem.rounding import rounded_sum

Reduction = Literal["mean", "sum"]


@dataclass(frozen=True, slots=True)
class Loss(ABC):
    """A convex, differentiable loss bound to its targets and weights.

    Attributes:
        targets: (n, c) float64, in the form that `prepare_targets` returns.
        weights: (n, c) float64, nonnegative ω; rows are constant for losses that couple a row.
    """

    targets: Tensor
    weights: Tensor

    name: ClassVar[str]
    couples_row: ClassVar[bool] = False
    curvature: ClassVar[float]

    @classmethod
    @abstractmethod
    def prepare_targets(cls, targets: Tensor, outputs: int) -> Tensor:
        """Return targets as (n, outputs) float64, or raise UsageError saying what was expected."""

    @abstractmethod
    def value_terms(self, outputs: Tensor) -> Tensor:
        """Weighted atoms whose sum is l(Z), for outputs Z (n, c)."""

    @abstractmethod
    def gradient(self, outputs: Tensor) -> Tensor:
        """∇l(Z), shape (n, c)."""

    @abstractmethod
    def curvature_factor(self, outputs: Tensor, directions: Tensor) -> Tensor:
        """F (m, n c) with (F Fᵀ)_ij = ∇²l(Z)[D_i, D_j] for output-space directions D (m, n, c)."""

    @abstractmethod
    def conjugate_terms(self, dual: Tensor) -> Tensor:
        """Weighted atoms whose sum is l*(A), for A (n, c); +inf where A leaves the domain."""

    @abstractmethod
    def repair(self, dual: Tensor) -> Tensor:
        """A point (n, c) of the conjugate's domain near A, with A = 0 where ω = 0."""

    @abstractmethod
    def domain_metric(self, dual: Tensor) -> Tensor:
        """Nonnegative weights (n, c): room that each entry of A has inside the domain; 0 where it has none."""

    def curvature_matrix(self, outputs: Tensor, directions: Tensor) -> Tensor:
        """Matrix (m, m) of ∇²l(Z)[D_i, D_j] for output-space directions D (m, n, c)."""
        factor = self.curvature_factor(outputs, directions)
        return factor @ factor.T

    def value(self, outputs: Tensor) -> float:
        """l(Z), correctly rounded sum of the atoms."""
        return rounded_sum(self.value_terms(outputs).flatten().tolist())

    def conjugate(self, dual: Tensor) -> float:
        """l*(A), correctly rounded sum of the atoms; +inf outside the domain."""
        return rounded_sum(self.conjugate_terms(dual).flatten().tolist())


@dataclass(frozen=True, slots=True)
class EntrywiseLoss(Loss):
    """A loss whose atom is a function of one entry: l(Z) = Σ_ij ω_ij l0(z_ij, y_ij); targets are real numbers."""

    allowed: ClassVar[Allowed | None] = None

    @classmethod
    def prepare_targets(cls, targets: Tensor, outputs: int) -> Tensor:
        prepared = real_targets(targets, outputs, cls.name)
        if cls.allowed is not None:
            require_range(prepared, cls.allowed, cls.name)
        return prepared

    @staticmethod
    @abstractmethod
    def atom(z: Tensor, y: Tensor) -> Tensor:
        """l0(z, y), entrywise."""

    @staticmethod
    @abstractmethod
    def atom_gradient(z: Tensor, y: Tensor) -> Tensor:
        """∂l0/∂z, entrywise."""

    @staticmethod
    @abstractmethod
    def atom_curvature(z: Tensor, y: Tensor) -> Tensor:
        """∂²l0/∂z² (a one-sided value at kinks of the slope), entrywise."""

    @staticmethod
    @abstractmethod
    def atom_conjugate(a: Tensor, y: Tensor) -> Tensor:
        """l0*(a, y), entrywise; +inf outside the domain."""

    @staticmethod
    @abstractmethod
    def atom_domain(y: Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper end of the interval dom l0*(·, y), entrywise."""

    def value_terms(self, outputs: Tensor) -> Tensor:
        return self.weights * self.atom(outputs, self.targets)

    def gradient(self, outputs: Tensor) -> Tensor:
        return self.weights * self.atom_gradient(outputs, self.targets)

    def curvature_factor(self, outputs: Tensor, directions: Tensor) -> Tensor:
        weights = self.weights * self.atom_curvature(outputs, self.targets)
        return (directions * weights.sqrt()).flatten(1)

    def conjugate_terms(self, dual: Tensor) -> Tensor:
        observed = self.weights > 0
        scaled = torch.where(observed, dual / torch.where(observed, self.weights, 1.0), 0.0)
        terms = self.weights * self.atom_conjugate(scaled, self.targets)
        outside = torch.where(dual == 0, 0.0, math.inf).to(terms)
        return torch.where(observed, terms, outside)

    def domain_metric(self, dual: Tensor) -> Tensor:
        low, high = self.atom_domain(self.targets)
        below, above = dual - self.weights * low, self.weights * high - dual
        room = torch.minimum(torch.minimum(below, above), self.weights).clamp_min(0)
        return torch.where(self.weights > 0, room, 0.0)

    def repair(self, dual: Tensor) -> Tensor:
        low, high = self.atom_domain(self.targets)
        clipped = torch.minimum(torch.maximum(dual, self.weights * low), self.weights * high)
        return torch.where(self.weights > 0, clipped, 0.0)


def xlogx(t: Tensor) -> Tensor:
    """The function t log t with 0 log 0 = 0 and +inf for t < 0, entrywise."""
    return torch.where(t < 0, math.inf, torch.special.xlogy(t, t.clamp_min(0)))


def softplus(t: Tensor) -> Tensor:
    """log(1 + exp(t)) to full accuracy; torch's own softplus returns t above 20, off by up to 2e-9."""
    return torch.logaddexp(t, torch.zeros_like(t))
