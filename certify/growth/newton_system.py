"""Newton systems of block programs: a block diagonal matrix plus the loss's curvature through all columns.

    K = D + F Fᵀ,  D = diag(B_1, …, B_b, μ),  F (m, n c)

With more columns than outputs, K⁻¹ = D⁻¹ − D⁻¹F (I + FᵀD⁻¹F)⁻¹ FᵀD⁻¹ (Woodbury 1950) needs factors of n c rows only.
D is nearly singular along every block, so that the result is refined and kept only where its residual is small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.growth.block_program import BlockProgram

# Largest number of columns, and of entries of all columns, for which Newton systems pay off.
MOST_COLUMNS = 1500
MOST_ENTRIES = 2e7
# Relative damping of the dense matrix, against parallel columns.
DAMPING = 1e-13
# The outputs are the way to go with this many times more columns.
WIDE = 1.25
REFINEMENTS = 2
# Largest residual of a refined solution, relative to the right side; an inexact Newton step is a Newton step.
SOLVED = 1e-6


@final
@dataclass(frozen=True, slots=True)
class NewtonSystem:
    """K at one point.

    Attributes:
        program: gives F and μ.
        outputs: Z at the point, (n, c).
        blocks: B of every group, (b, size, size), positive definite.
    """

    program: BlockProgram
    outputs: Tensor
    blocks: tuple[Tensor, ...]

    def solve(self, right: Tensor) -> Tensor:
        """K⁻¹ times a vector (m,)."""
        factor = self.program.objective.loss.curvature_factor(self.outputs, self.program.maps)
        if len(right) > WIDE * factor.shape[1] and bool((self.program.tail > 0).all()):
            solution = self._through_outputs(factor, right)
            residual = torch.linalg.vector_norm(right - self._times(factor, solution))
            if residual <= SOLVED * torch.linalg.vector_norm(right):
                return solution
        return _solved(self.matrix(), right)

    def matrix(self) -> Tensor:
        """K assembled, (m, m)."""
        matrix = self.program.objective.loss.curvature_matrix(self.outputs, self.program.maps)
        place = 0
        for blocks in self.blocks:
            b, size, _ = blocks.shape
            index = place + torch.arange(b * size, device=matrix.device).reshape(b, size)
            matrix[index[:, :, None], index[:, None, :]] += blocks
            place += b * size
        matrix.diagonal()[place:] += self.program.tail
        return matrix

    def _times(self, factor: Tensor, vector: Tensor) -> Tensor:
        inside, tail = self.program.split(vector)
        pairs = zip(self.blocks, inside, strict=True)
        direct = [(blocks @ part[:, :, None]).flatten() for blocks, part in pairs]
        return torch.cat([*direct, self.program.tail * tail]) + factor @ (factor.T @ vector)

    def _through_outputs(self, factor: Tensor, right: Tensor) -> Tensor:
        """Woodbury's formula with refinement; NaN where D has no Cholesky factor."""
        factored = [torch.linalg.cholesky_ex(blocks) for blocks in self.blocks]
        if any(bool(info.any()) for _, info in factored):
            return torch.full_like(right, torch.nan)
        roots = tuple(root for root, _ in factored)
        half = self._halved(roots, factor)
        inner = half.T @ half
        inner.diagonal().add_(1.0)
        inner, _ = torch.linalg.cholesky_ex(inner)

        def once(vector: Tensor) -> Tensor:
            lower = self._halved(roots, vector[:, None])
            lower = lower - half @ torch.cholesky_solve(half.T @ lower, inner)
            return self._halved(tuple(root.mT for root in roots), lower, upper=True)[:, 0]

        solution = once(right)
        for _ in range(REFINEMENTS):
            solution = solution + once(right - self._times(factor, solution))
        return solution

    def _halved(self, roots: tuple[Tensor, ...], columns: Tensor, upper: bool = False) -> Tensor:
        """D^{-1/2} times columns (m, k); the triangular factors of the blocks say which root."""
        *parts, tail = torch.split(
            columns, [*(root.shape[0] * root.shape[1] for root in roots), len(self.program.tail)]
        )
        solved = []
        for root, part in zip(roots, parts, strict=True):
            inside = part.reshape(*root.shape[:2], part.shape[1])
            solved.append(torch.linalg.solve_triangular(root, inside, upper=upper).flatten(0, 1))
        return torch.cat([*solved, tail / self.program.tail.sqrt()[:, None]])


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    damping = DAMPING * matrix.diagonal().mean()
    for _ in range(10):
        shifted = matrix + torch.diag(damping.expand(len(matrix)))
        factor, info = torch.linalg.cholesky_ex(shifted)
        if int(info) == 0:
            return torch.cholesky_solve(right[:, None], factor)[:, 0]
        damping = 100 * damping
    return right
