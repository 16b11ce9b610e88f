"""A convex program over blocks of weights: a ReLU network in fixed activation cells, or with fixed hidden units.

    minimize over x_1 … x_b, C   l(Σ_k M_k x_k + E C) + λ Σ_k |x_k| + Σ_j (μ_j/2)|C_j|²   subject to  S_k R x_k ≥ 0

Input blocks: x_k = |v_k| u_k in one cell with the output direction w_k fixed, M_k x = D_k H x w_kᵀ, R the rows of H
(Pilanci and Ergen 2020, with one output direction a block). Output blocks: x_k = |u_k| v_k with the hidden response
σ_k fixed, M_k x = σ_k xᵀ, without walls (group lasso; Bach 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.growth.cells import Cells, unit_rows
from certify.problem import Objective, ParallelNetwork

# Ridge on entries outside the norm, in units of λ: two constants that cancel would otherwise drift apart.
FREE_RIDGE = 1e-8


@final
@dataclass(frozen=True, slots=True)
class BlockProgram:
    """The program; a point is the flat vector (x_1, …, x_b, C).

    Attributes:
        objective: gives loss, λ and the convex part.
        maps: all M_k and the convex part as output-space directions, (m, n, c).
        blocks: number b of blocks.
        size: entries of a block.
        free: trailing entries of a block outside its norm.
        walls: R, (q, size); q may be 0.
        signs: S_k, (b, q) of ±1.
    """

    objective: Objective
    maps: Tensor
    blocks: int
    size: int
    free: int
    walls: Tensor
    signs: Tensor

    @property
    def ridge(self) -> Tensor:
        """μ of every entry of a point, (m,); free entries of blocks get a little, against drifting along flat lines."""
        convex = self.objective.convex.ridge.repeat_interleave(self.objective.outputs)
        block = convex.new_zeros(self.blocks, self.size)
        block[:, self.size - self.free :] = FREE_RIDGE * self.objective.strength
        return torch.cat([block.flatten(), convex])

    def split(self, point: Tensor) -> tuple[Tensor, Tensor]:
        """Blocks (b, size) and the coefficients C (k, c)."""
        count = self.blocks * self.size
        return point[:count].reshape(self.blocks, self.size), point[count:].reshape(-1, self.objective.outputs)

    def outputs(self, point: Tensor) -> Tensor:
        """Z (n, c)."""
        return torch.einsum("m,mnc->nc", point, self.maps)

    def slack(self, point: Tensor) -> Tensor:
        """S_k R x_k, (b, q); positive strictly inside."""
        return self.signs * (self.split(point)[0] @ self.walls.T)

    def smooth_value(self, point: Tensor, barrier: float) -> float:
        """Objective with |x| replaced by the barrier of its epigraph, min over t of λt − β log(t² − |x|²)."""
        length = self._length(point, barrier)
        penalty = (self.objective.strength * length - barrier * torch.log(length)).sum()
        loss = self.objective.loss.value_terms(self.outputs(point)).sum()
        return float(loss + penalty + (self.ridge * point**2).sum() / 2)

    def smooth_derivatives(self, point: Tensor, barrier: float) -> tuple[Tensor, Tensor]:
        """Gradient (m,) of `smooth_value`, and the Hessian of all but the loss on the blocks, (b, size, size)."""
        strength, slopes = self.objective.strength, self.objective.loss.gradient(self.outputs(point))
        gradient = torch.einsum("mnc,nc->m", self.maps, slopes) + self.ridge * point
        penalized = self._penalized(point)
        length = self._length(point, barrier)
        root = strength * length - barrier
        slope = torch.zeros_like(self.split(point)[0])
        curvature = torch.diag_embed(self.split(self.ridge)[0])
        counted = self.size - self.free
        slope[:, :counted] = strength * penalized / length[:, None]
        outer = penalized[:, :, None] * penalized[:, None, :]
        identity = torch.eye(counted, dtype=point.dtype, device=point.device)
        curvature[:, :counted, :counted] += (strength / length)[:, None, None] * identity - (
            strength**2 / (length**2 * root)
        )[:, None, None] * outer
        gradient[: self.blocks * self.size] += slope.flatten()
        return gradient, curvature

    def _penalized(self, point: Tensor) -> Tensor:
        return self.split(point)[0][:, : self.size - self.free]

    def _length(self, point: Tensor, barrier: float) -> Tensor:
        """The minimizing t of every block's epigraph, (b,)."""
        strength = self.objective.strength
        squared = (self._penalized(point) ** 2).sum(1)
        length: Tensor = (barrier + torch.sqrt(barrier**2 + strength**2 * squared)) / strength
        return length


def input_blocks(objective: Objective, cells: Cells) -> BlockProgram:
    """Input weights free in their cells, output directions fixed."""
    inputs = objective.inputs
    responses = torch.einsum("bn,nd->bdn", cells.patterns.to(inputs), inputs)
    maps = torch.einsum("bdn,bc->bdnc", responses, cells.outgoing).flatten(0, 1)
    kept = torch.linalg.vector_norm(inputs, dim=1) > 0
    signs = torch.where(cells.patterns[:, kept], 1.0, -1.0).to(inputs)
    return BlockProgram(
        objective=objective,
        maps=torch.cat([maps, _convex_maps(objective)]),
        blocks=cells.count,
        size=inputs.shape[1],
        free=objective.free_inputs,
        walls=unit_rows(inputs),
        signs=signs,
    )


def output_blocks(objective: Objective, first: Tensor) -> BlockProgram:
    """Output weights free, input directions u (b, d) of penalized norm 1 fixed."""
    network = ParallelNetwork((first, first.new_zeros(len(first), objective.outputs)), first[:0])
    units = torch.eye(objective.outputs, dtype=first.dtype, device=first.device)
    copies = (first.repeat_interleave(objective.outputs, 0), units.repeat(network.width, 1))
    return BlockProgram(
        objective=objective,
        maps=torch.cat([objective.kind.outputs(objective.inputs, copies), _convex_maps(objective)]),
        blocks=len(first),
        size=objective.outputs,
        free=0,
        walls=first.new_zeros(0, objective.outputs),
        signs=first.new_zeros(len(first), 0),
    )


def _convex_maps(objective: Objective) -> Tensor:
    """E C as directions, (k c, n, c)."""
    features, c = objective.convex.features, objective.outputs
    units = torch.eye(c, dtype=features.dtype, device=features.device)
    return torch.einsum("nk,ij->kjni", features, units).reshape(-1, len(features), c)
