"""A convex program over blocks of weights of all branches, with hidden responses linear in them or fixed.

    minimize over x, C   l(Z_0 + Σ_k M_k x_k + E C) + Σ_k λ_k |x_k| + Σ_j (μ_j/2)|C_j|²   subject to  S_k R_k x_k ≥ 0

where a block has the λ and the walls R of its branch (see `block_group.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.growth.block_group import BlockGroup
from certify.growth.convex_maps import convex_maps
from certify.problem import Objective


@final
@dataclass(frozen=True, slots=True)
class BlockProgram:
    """The program; a point is the flat vector (x_1, …, x_b, C), m entries.

    Attributes:
        objective: gives loss, convex part and offset.
        groups: the blocks of every branch.
        maps: all M_k and the convex part as directions of the outputs, (m, n, c).
        ridge: μ of every entry of a point, (m,).
    """

    objective: Objective
    groups: tuple[BlockGroup, ...]
    maps: Tensor
    ridge: Tensor

    @property
    def blocks(self) -> int:
        """Number of all blocks."""
        return sum(len(group.start) for group in self.groups)

    @property
    def tail(self) -> Tensor:
        """μ of the convex part, (k c,)."""
        return self.ridge[sum(group.start.numel() for group in self.groups) :]

    def split(self, point: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """The blocks (b, size) of every group, and the flat coefficients C (k c,)."""
        sizes = [group.start.numel() for group in self.groups]
        *parts, coefficients = torch.split(point, [*sizes, len(point) - sum(sizes)])
        blocks = (part.reshape(group.start.shape) for part, group in zip(parts, self.groups, strict=True))
        return tuple(blocks), coefficients

    def outputs(self, point: Tensor) -> Tensor:
        """Z (n, c)."""
        outputs = torch.einsum("m,mnc->nc", point, self.maps)
        return outputs if self.objective.offset is None else outputs + self.objective.offset

    def slack(self, point: Tensor) -> Tensor:
        """S_k R_k x_k of all blocks, (s,); positive strictly inside."""
        blocks, _ = self.split(point)
        return torch.cat([group.slack(part).flatten() for group, part in zip(self.groups, blocks, strict=True)])

    def pull(self, forces: Tensor) -> Tensor:
        """Forces (s,) at the walls as a gradient, (m,)."""
        parts = zip(self.groups, self._at_walls(forces), strict=True)
        return torch.cat([*(group.pull(part).flatten() for group, part in parts), torch.zeros_like(self.tail)])

    def stiffness(self, springs: Tensor) -> tuple[Tensor, ...]:
        """Springs (s,) at the walls as a Hessian, (b, size, size) of every group."""
        parts = zip(self.groups, self._at_walls(springs), strict=True)
        return tuple(group.stiffness(part) for group, part in parts)

    def smooth_value(self, point: Tensor, barrier: float) -> float:
        """Objective with every |x| replaced by the barrier of its epigraph."""
        blocks, _ = self.split(point)
        value = self.objective.loss.value_terms(self.outputs(point)).sum() + (self.ridge * point**2).sum() / 2
        for group, part in zip(self.groups, blocks, strict=True):
            value = value + group.smooth_penalty(part, barrier)
        return float(value)

    def smooth_derivatives(self, point: Tensor, barrier: float) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Gradient (m,) of `smooth_value`, and the Hessian of all but the loss on the blocks of every group."""
        blocks, _ = self.split(point)
        pairs = zip(self.groups, blocks, strict=True)
        slopes, curvatures = zip(*(group.penalty_derivatives(part, barrier) for group, part in pairs), strict=True)
        penalty = torch.cat([*(slope.flatten() for slope in slopes), torch.zeros_like(self.tail)])
        loss = torch.einsum("mnc,nc->m", self.maps, self.objective.loss.gradient(self.outputs(point)))
        return loss + self.ridge * point + penalty, curvatures

    def _at_walls(self, values: Tensor) -> tuple[Tensor, ...]:
        """Values (s,) at the walls of all blocks, (b, q) of every group."""
        parts = torch.split(values, [group.signs.numel() for group in self.groups])
        return tuple(part.reshape(group.signs.shape) for part, group in zip(parts, self.groups, strict=True))


def block_program(objective: Objective, groups: tuple[BlockGroup, ...]) -> BlockProgram:
    """The program of an objective with one group for each of its branches."""
    convex = objective.convex.ridge.repeat_interleave(objective.outputs)
    return BlockProgram(
        objective=objective,
        groups=groups,
        maps=torch.cat([*(group.maps for group in groups), convex_maps(objective)]),
        ridge=torch.cat([*(group.ridge.flatten() for group in groups), convex]),
    )
