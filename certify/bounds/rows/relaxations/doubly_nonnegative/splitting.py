"""Alternating directions for the relaxations of all branches, coupled by the loss; the dual point is chosen with them.

Every branch b has a variable Y_b that makes outputs A_b Y_b, drawn to P_b with a weight β_b. The loss's step minimizes

    l(Σ A_b Y_b) + Σ β_b/2 |Y_b − P_b|²,   so that   Y_b = P_b − A_bᵀμ/β_b,   Z + G μ = Σ A_b P_b,

with μ the gradient of l at Z, and G = Σ A_b A_bᵀ/β_b. Where G is a multiple g I, as for one branch without pooling,
that is a proximal step of l. Elsewhere g is its largest eigenvalue, and in (g I − G) μ
the μ of the step before counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from certify.bounds.rows.relaxations.doubly_nonnegative.linear_part import LinearPart
from certify.bounds.rows.relaxations.doubly_nonnegative.proximal import LossStep
from certify.bounds.rows.relaxations.doubly_nonnegative.rows_part import RowsPart
from certify.problem import Objective


@final
class Splitting:
    """The iteration.

    Attributes:
        parts: one for every branch.
        gradient: of the loss at the last step, (n, c): the dual point.
    """

    def __init__(
        self, objective: Objective, inputs: Sequence[Tensor | None], precision: torch.dtype = torch.float64
    ) -> None:
        """Start from nothing.

        Args:
            objective: what is minimized.
            inputs: of every branch of rows, X (N, D), see `RowsPart`; None for a linear one.
            precision: of everything but the loss.
        """
        self.parts = tuple(
            LinearPart(branch, objective.outputs)
            if rows is None
            else RowsPart(branch, objective.outputs, rows, precision)
            for branch, rows in zip(objective.branches, inputs, strict=True)
        )
        self.gradient = torch.zeros_like(objective.loss.targets)
        self._loss_step = LossStep(objective)

    @property
    def rows(self) -> tuple[RowsPart, ...]:
        """The parts of branches of rows."""
        return tuple(part for part in self.parts if isinstance(part, RowsPart))

    def step(self) -> None:
        """One iteration."""
        drawn = torch.stack([part.advance() for part in self.parts]).sum(0)
        reach = sum(part.resistance for part in self.parts)
        rest = reach * self.gradient - torch.stack([part.resisted(self.gradient) for part in self.parts]).sum(0)
        _, self.gradient = self._loss_step(drawn + rest, 1 / reach)
        for part in self.parts:
            part.settle(self.gradient)

    def rescale(self, factor: float) -> None:
        """Multiply every β by a factor, multipliers unchanged."""
        for part in self.parts:
            part.rescale(factor)

    def refine(self) -> None:
        """Go on in double precision."""
        for part in self.rows:
            part.refine()

    @property
    def is_coarse(self) -> bool:
        """Whether it goes on in single precision."""
        return any(part.is_coarse for part in self.rows)
