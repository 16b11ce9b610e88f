"""Softmax cross-entropy: l0(z, y) = C lse(z) − y·z with C = Σ_k y_k.

Conjugate: l0*(a, y) = C Σ_k xlog((a_k + y_k)/C) on the simplex (a + y)/C, that is Σ_k a_k = 0 and
a + y ≥ 0. The row sums of a dual point must vanish exactly; `DualPoint` sees to that on a dyadic grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from certify.errors import UsageError
from certify.problem.losses.loss import Loss, xlogx
from certify.problem.losses.targets import NONNEGATIVE, require_range


@final
@dataclass(frozen=True, slots=True)
class CrossEntropy(Loss):
    """`torch.nn.functional.cross_entropy`; targets are class indices (n,) or probabilities (n, c)."""

    name: ClassVar[str] = "cross-entropy"
    couples_row: ClassVar[bool] = True
    curvature: ClassVar[float] = 0.5

    @classmethod
    def prepare_targets(cls, targets: Tensor, outputs: int) -> Tensor:
        if outputs < 2:
            raise UsageError(
                f"loss '{cls.name}' needs at least 2 outputs, the network has {outputs}; for one logit use "
                "'binary-cross-entropy' (targets 0/1) or 'soft-margin' (targets -1/+1)",
                code="shape-mismatch",
            )
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = targets[:, 0]
        if targets.ndim == 1:
            return _one_hot(targets, outputs)
        if targets.ndim != 2 or targets.shape[1] != outputs:
            raise UsageError(
                f"targets have shape {tuple(targets.shape)}; '{cls.name}' needs class indices (n,) or "
                f"probabilities (n, {outputs})",
                code="shape-mismatch",
            )
        require_range(targets, NONNEGATIVE, cls.name)
        return targets.double()

    def _row_weight(self) -> Tensor:
        return self.weights[:, :1]

    def value_terms(self, outputs: Tensor) -> Tensor:
        total = self.targets.sum(1, keepdim=True)
        # Shifted by the row maximum of z, each term is nonnegative up to rounding for one-hot targets.
        lse = torch.logsumexp(outputs, 1, keepdim=True)
        return self._row_weight() * (total * lse - (self.targets * outputs).sum(1, keepdim=True))

    def gradient(self, outputs: Tensor) -> Tensor:
        total = self.targets.sum(1, keepdim=True)
        return self._row_weight() * (total * torch.softmax(outputs, 1) - self.targets)

    def curvature_factor(self, outputs: Tensor, directions: Tensor) -> Tensor:
        # diag(p) − p pᵀ = R Rᵀ with R = diag(√p)(I − √p √pᵀ), because |√p| = 1.
        share = torch.softmax(outputs, 1)
        weight = self._row_weight() * self.targets.sum(1, keepdim=True)
        centered = directions - (directions * share).sum(2, keepdim=True)
        return (centered * (weight * share).sqrt()).flatten(1)

    def conjugate_terms(self, dual: Tensor) -> Tensor:
        weight, total = self._row_weight(), self.targets.sum(1, keepdim=True)
        # Where the mass underflows the term is 0 or less than nothing; 0 is on the safe side.
        active = weight * total > 0
        safe = torch.where(active, weight * total, 1.0)
        share = (dual + weight * self.targets) / safe
        terms = torch.where(active, weight * total * xlogx(share), torch.where(dual == 0, 0.0, math.inf))
        rows_vanish = dual.sum(1, keepdim=True).abs() <= 1e-14 * dual.abs().sum(1, keepdim=True)
        return torch.where(rows_vanish, terms, math.inf)

    def domain_metric(self, dual: Tensor) -> Tensor:
        return (dual + self._row_weight() * self.targets).clamp_min(0)

    def repair(self, dual: Tensor) -> Tensor:
        weight, total = self._row_weight(), self.targets.sum(1, keepdim=True)
        active = weight * total > 0
        share = (dual + weight * self.targets).clamp_min(0)
        mass = share.sum(1, keepdim=True)
        share = torch.where(mass > 0, share / torch.where(mass > 0, mass, 1.0) * weight * total, weight * self.targets)
        return torch.where(active, share - weight * self.targets, 0.0)


def _one_hot(targets: Tensor, outputs: int) -> Tensor:
    indices = targets.long()
    if not bool((indices == targets).all()):
        raise UsageError("class indices must be whole numbers", code="target-range")
    allowed = (f"between 0 and {outputs - 1} (class indices)", lambda y: (y >= 0) & (y < outputs))
    require_range(targets, allowed, CrossEntropy.name)
    return torch.nn.functional.one_hot(indices, outputs).double()
