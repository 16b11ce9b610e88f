"""Blocks of weights of one branch: outputs linear in them, a norm each, and the walls of their cells.

Input blocks: x_k = |v_k| u_k in one cell with the output direction w_k fixed, M_k x the outputs that w_k makes of the
responses D_k H x (Pilanci and Ergen 2020, with one output direction a block). Output blocks: x_k = |u_k|^d v_k with the
hidden response fixed, M_k x the outputs that x makes of it, without walls (group lasso; Bach 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.growth.cells import Cells
from certify.growth.directions import subnetworks_of
from certify.problem import Branch, Factors

# Ridge on entries outside the norm, in units of λ: two constants that cancel would otherwise drift apart.
FREE_RIDGE = 1e-8


@final
@dataclass(frozen=True, slots=True)
class BlockGroup:
    """The blocks x_1 … x_b of a branch, (b, size) together.

    Attributes:
        branch: gives λ.
        maps: M_k as directions of the outputs, (b size, n, c).
        moving: which factor the blocks are, 0 or 1.
        fixed: the other factor of each block, of norm 1, (b, ·).
        walls: R, (q, size); q may be 0.
        signs: S_k, (b, q) of ±1; inside its cell S_k R x_k is positive.
        start: the blocks of the network that the group is made from, (b, size); they may lie outside their cells.
    """

    branch: Branch
    maps: Tensor
    moving: int
    fixed: Tensor
    walls: Tensor
    signs: Tensor
    start: Tensor

    @property
    def free(self) -> int:
        """Trailing entries of a block outside its norm."""
        return self.branch.view.free_inputs if self.moving == 0 else 0

    @property
    def ridge(self) -> Tensor:
        """μ of every entry, (b, size); free entries get a little, against drifting along flat lines."""
        ridge = torch.zeros_like(self.start)
        ridge[:, ridge.shape[1] - self.free :] = FREE_RIDGE * self.branch.strength
        return ridge

    def penalized(self, blocks: Tensor) -> Tensor:
        """The entries inside the norms, (b, size − free)."""
        return blocks[:, : blocks.shape[1] - self.free]

    def slack(self, blocks: Tensor) -> Tensor:
        """S_k R x_k, (b, q)."""
        return self.signs * (blocks @ self.walls.T)

    def pull(self, forces: Tensor) -> Tensor:
        """Rᵀ S_k f_k for forces (b, q) at the walls, (b, size)."""
        return (self.signs * forces) @ self.walls

    def stiffness(self, springs: Tensor) -> Tensor:
        """Rᵀ diag(s_k) R for springs (b, q) at the walls, (b, size, size)."""
        return torch.einsum("bq,qd,qe->bde", springs, self.walls, self.walls)

    def smooth_penalty(self, blocks: Tensor, barrier: float) -> Tensor:
        """Σ_k λ|x_k| with every |x| replaced by the barrier of its epigraph, min over t of λt − β log(t² − |x|²)."""
        length = self._length(blocks, barrier)
        return (self.branch.strength * length - barrier * torch.log(length)).sum()

    def penalty_derivatives(self, blocks: Tensor, barrier: float) -> tuple[Tensor, Tensor]:
        """Gradient (b, size) of `smooth_penalty`, and its Hessian plus the ridge, (b, size, size)."""
        strength, penalized = self.branch.strength, self.penalized(blocks)
        length, counted = self._length(blocks, barrier), penalized.shape[1]
        slope, curvature = torch.zeros_like(blocks), torch.diag_embed(self.ridge)
        slope[:, :counted] = strength * penalized / length[:, None]
        outer = penalized[:, :, None] * penalized[:, None, :]
        identity = torch.eye(counted, dtype=blocks.dtype, device=blocks.device)
        bend = (strength / length) ** 2 / (strength * length - barrier)
        curvature[:, :counted, :counted] += (strength / length)[:, None, None] * identity - bend[:, None, None] * outer
        return slope, curvature

    def costs(self, blocks: Tensor) -> Tensor:
        """λ|x_k|, (b,)."""
        costs: Tensor = self.branch.strength * torch.linalg.vector_norm(self.penalized(blocks), dim=1)
        return costs

    def subnetworks(self, blocks: Tensor, limit: float) -> Factors:
        """What the blocks are, without those that cost no more than the limit; a free bias alone may keep one."""
        costs, whole = self.costs(blocks), self.branch.strength * torch.linalg.vector_norm(blocks, dim=1)
        kept = (whole > limit) & (costs > 0)
        sizes = costs[kept] / self.branch.strength
        moved, fixed = blocks[kept] / sizes[:, None], self.fixed[kept]
        return subnetworks_of(self.branch, (moved, fixed) if self.moving == 0 else (fixed, moved), sizes)

    def _length(self, blocks: Tensor, barrier: float) -> Tensor:
        """The minimizing t of every block's epigraph, (b,)."""
        costs = self.costs(blocks)
        length: Tensor = (barrier + torch.hypot(costs.new_tensor(barrier), costs)) / self.branch.strength
        return length


def input_blocks(branch: Branch, cells: Cells) -> BlockGroup:
    """First factors free in their cells, output directions fixed."""
    rows, size = branch.table.rows, branch.table.rows.shape[1]
    responses = torch.einsum("bn,nd->nbd", cells.slopes, rows).flatten(1)
    maps = branch.table.readout.each(responses, cells.outgoing.repeat_interleave(size, 0))
    return BlockGroup(branch, maps, 0, cells.outgoing, cells.walls, cells.signs, cells.start)


def output_blocks(branch: Branch, directions: Factors, scales: Tensor) -> BlockGroup:
    """Second factors free, first ones fixed, of subnetworks with these directions and scales α (b,)."""
    first, second = directions
    count, size = second.shape
    units = torch.eye(size, dtype=first.dtype, device=first.device).repeat(count, 1)
    maps = branch.outputs((first.repeat_interleave(size, 0), units))
    walls, signs = first.new_zeros(0, size), first.new_zeros(count, 0)
    return BlockGroup(branch, maps, 1, first, walls, signs, scales[:, None] * second)
