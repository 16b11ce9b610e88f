"""Alternating directions for the joint semidefinite bound of a tensor, its dual point chosen with it.

With rows (x ⊗ y) and columns z or (z ⊗ w), K in the place of Σ k kᵀ over terms, k = (rows, columns): minimize

    l(Z) + λ/2 tr K,   Z the block of K across, on the entries,

over K ⪰ 0 whose blocks along keep still under the transposition of one of two axes, as those of terms do. The
multipliers of K, orthogonal to the still ones along and the gradient across, are the dual point and N: the dual is

    maximize −l*(A)   over   [[λ I − N, A], [Aᵀ, λ I − N']] ⪰ 0.

K is held twice, semidefinite and still, and both take turns. Nothing here is relied on.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from certify.bounds.multilinear.pair_multipliers import multipliers_of, still
from certify.bounds.multilinear.unfoldings import Sides, blocks, sides_shape, unfolded
from certify.bounds.rows.relaxations.doubly_nonnegative.proximal import LossStep
from certify.problem import Factors, Multilinear, Objective

RELAXATION = 1.6
# All eigenpairs are computed every so many steps, and between them the positive ones and so many more.
WHOLE_EVERY, SPARE = 50, 8
# Below this side all eigenpairs are as fast.
SMALL_SIDE = 150
# β moves by its factor where one of the residuals is so many times the other.
UNEVEN, FACTOR = 4.0, 2.0


@final
class SymmetricSplitting:
    """The iteration.

    Attributes:
        sides: whether each axis is one of rows.
        gradient: of the loss at the last step, (N, 1).
    """

    def __init__(self, objective: Objective, form: Multilinear, sides: Sides) -> None:
        """Start from nothing; entries have no coefficients."""
        entries = form.entries
        self.sides, self._blocks = sides, blocks(entries.shape, sides)
        self._rows, columns = sides_shape(entries.shape, sides)
        places = unfolded(form.entries, sides).indices
        self._places = places[:, 0], places[:, 1] + self._rows
        self._strength = objective.branches[0].strength
        self._loss_step = LossStep(objective)
        self._still = objective.loss.targets.new_zeros(self._rows + columns, self._rows + columns)
        self._dual = torch.zeros_like(self._still)
        self._vectors: Tensor | None = None
        self._steps = 0
        self.gradient = torch.zeros_like(objective.loss.targets)
        self._penalty = float(objective.loss.weights.max())
        self._residuals = (0.0, 0.0)

    def start(self, network: Factors, dual: Tensor) -> None:
        """Put Σ k kᵀ over the terms of a network in the place of K, and a dual point (N, 1) in that of the gradient."""
        if network and len(network[0]):
            ends = [
                _products([f for f, row in zip(network, self.sides, strict=True) if row is s]) for s in (True, False)
            ]
            sizes = [torch.linalg.vector_norm(end, dim=1, keepdim=True) for end in ends]
            alive = (sizes[0] * sizes[1])[:, 0] > 0
            ratio = (sizes[1][alive] / sizes[0][alive]).sqrt()
            terms = torch.cat([ends[0][alive] * ratio, ends[1][alive] / ratio], 1)
            self._still = terms.T @ terms
            largest = float(torch.linalg.matrix_norm(terms, 2)) ** 2 if len(terms) else 0.0
            self._penalty = self._strength / largest if largest > 0 else self._penalty
        self._dual.diagonal().fill_(self._strength / 2)
        self._dual[self._places] = self._dual[self._places[::-1]] = dual[:, 0] / 2
        self._dual /= self._penalty

    def step(self) -> None:
        """One iteration."""
        self._steps += 1
        found = self._semidefinite(self._still - self._dual)
        point = RELAXATION * found + (1 - RELAXATION) * self._still + self._dual
        moved = self._moved(point)
        self._residuals = float((found - moved).norm()), float((moved - self._still).norm())
        self._still, self._dual = moved, point - moved

    def even_out(self) -> None:
        """Move β to where both residuals are of one size."""
        apart, along = self._residuals
        factor = FACTOR if apart > UNEVEN * along else 1 / FACTOR if along > UNEVEN * apart else 1.0
        self._penalty *= factor
        self._dual /= factor

    def multipliers(self) -> tuple[Tensor, ...]:
        """C of N and N' of the last iterate."""
        return tuple(-2 * self._penalty * multipliers_of(self._dual[end, end], pair) for end, pair in self._blocks)

    def _moved(self, point: Tensor) -> Tensor:
        """The still matrix nearest to a point, as the loss and the trace draw it."""
        moved = point.clone()
        moved.diagonal().sub_(self._strength / (2 * self._penalty))
        for end, pair in self._blocks:
            moved[end, end] = still(moved[end, end], pair)
        # Entries across count twice.
        z, self.gradient = self._loss_step(point[self._places][:, None], 2 * self._penalty)
        moved[self._places] = moved[self._places[::-1]] = z[:, 0]
        return moved

    def _semidefinite(self, matrix: Tensor) -> Tensor:
        values, vectors = self._eigenpairs(matrix)
        positive = values > 0
        root = vectors[:, positive] * values[positive].sqrt()
        return root @ root.T

    def _eigenpairs(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """The positive eigenpairs, and others; where they are few, by a step of block Krylov from those before."""
        known = self._vectors
        whole = len(matrix) <= SMALL_SIDE or self._steps % WHOLE_EVERY == 1
        if known is None or whole or 4 * known.shape[1] > len(matrix):
            values, vectors = torch.linalg.eigh(matrix)
        else:
            basis = torch.linalg.qr(torch.cat([known, matrix @ known], 1)).Q
            values, inner = torch.linalg.eigh(basis.T @ (matrix @ basis))
            vectors = basis @ inner
        self._vectors = vectors[:, -(int((values > 0).sum()) + SPARE) :].contiguous()
        return values, vectors


def _products(factors: list[Tensor]) -> Tensor:
    """The terms along some axes as vectors, (r, Π n)."""
    found = factors[0]
    for factor in factors[1:]:
        found = (found[:, :, None] * factor[:, None]).reshape(len(found), -1)
    return found
