"""Alternating directions for a branch whose polar is a singular value, beside branches of rows.

Subnetworks φ = R(H u, v) with θ = |u||v| share λ|W|_*, W = Σ u vᵀ (Recht, Fazel and Parrilo 2010): the
singular values of W shrink, and a copy of it serves the loss.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from certify.bounds.rows.relaxations.doubly_nonnegative.lift import unit_of
from certify.problem import Branch, Factors

RELAXATION = 1.6


@final
class LinearPart:
    """The iteration for one linear branch.

    Attributes:
        penalty: β, over (1/c)² for rows c H that are like ones.
    """

    def __init__(self, branch: Branch, outputs: int) -> None:
        """Start from nothing."""
        view = branch.table
        self._rows, self._readout = view.rows, view.readout
        self._strength, self.penalty = branch.strength, branch.strength * unit_of(view.rows) ** 2
        self._copy = view.rows.new_zeros(view.rows.shape[1], view.readout.weights_of(outputs))
        self._dual, self._point = torch.zeros_like(self._copy), self._copy
        self._reach = float(torch.linalg.matrix_norm(view.rows, 2)) ** 2

    def start(self, network: Factors, center: Tensor | None) -> None:  # noqa: ARG002 - that of rows
        """Put Σ u vᵀ over the subnetworks of a network in the place of W."""
        if network:
            self._copy = network[0].T @ network[1]

    def rescale(self, factor: float) -> None:
        """Multiply β by a factor, multipliers unchanged."""
        self.penalty *= factor
        self._dual = self._dual / factor

    def advance(self) -> Tensor:
        """The step of W; returns what the loss is drawn to, (n, c)."""
        left, values, right = torch.linalg.svd(self._copy + self._dual, full_matrices=False)
        found = left @ ((values - self._strength / self.penalty).clamp_min(0)[:, None] * right)
        self._point = RELAXATION * found + (1 - RELAXATION) * self._copy - self._dual
        return self._readout.collected(self._rows @ self._point)

    @property
    def resistance(self) -> float:
        """The largest eigenvalue of what `resisted` applies."""
        return self._reach * self._readout.squared_norm() / self.penalty

    def resisted(self, gradient: Tensor) -> Tensor:
        """How far outputs move against a gradient of the loss, (n, c), if the copy does."""
        return self._readout.collected(self._rows @ self._step(gradient))

    def settle(self, gradient: Tensor) -> None:
        """The step of the copy against the gradient of the loss."""
        self._copy = self._point - self._step(gradient)
        self._dual = self._copy - self._point

    def _step(self, gradient: Tensor) -> Tensor:
        return self._rows.T @ self._readout.scores(gradient) / self.penalty
