"""The state of the splitting for one pattern of signs of outputs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import final

import torch
from torch import Tensor


@final
@dataclass(slots=True)
class Block:
    """Y and W/β of one pattern of signs of j outputs, in scaled coordinates, over y = (v, u, z₊, z₋).

    Attributes:
        both, cross, none: G over z, (N, N), with Y = max(G, 0) and W/β = max(−G, 0).
        core: Y over (v, u), (p, p), and in `core_dual` its W/β.
        loss: Y_zv that the loss sees, (2, N, m), z₊ first, and in `loss_dual` its W/β.
        cone: (Y_zv, Y_zu) that the cones see, (2, N, m + D); for j = 0 Y_zu alone, (2, N, D), which is free; and in
            `cone_dual` its W/β.
        vectors: eigenvectors that the last step found, to start from; None before it.
    """

    both: Tensor
    cross: Tensor
    none: Tensor
    core: Tensor
    core_dual: Tensor
    loss: Tensor
    loss_dual: Tensor
    cone: Tensor
    cone_dual: Tensor
    vectors: Tensor | None = None

    def start(self, responses: tuple[Tensor, Tensor], hidden: Tensor, second: Tensor) -> None:
        """Σ y yᵀ for scaled z₊ and z₋ (N, r), u (r, D) and v (r, m)."""
        above, below = responses
        core, rim = torch.cat([second, hidden], 1), torch.stack(responses)
        # One of z₊ and z₋ is exactly zero in every row, and so is the diagonal of their products.
        self.both, self.cross, self.none = above @ above.T, above @ below.T, below @ below.T
        self.core = core.T @ core
        self.loss = rim @ second
        self.cone = rim @ core[:, core.shape[1] - self.cone.shape[2] :]

    def to(self, precision: torch.dtype) -> Block:
        """The state in another precision."""
        values = (getattr(self, field.name) for field in fields(self))
        return Block(*(value.to(precision) for value in values if value is not None))

    def divided(self, pattern: Tensor, parts: int) -> Block:
        """The share of a pattern of signs (m,), of so many that go on for the block of all with as many times β."""
        m, size = len(pattern), len(self.core)
        signs = torch.cat([pattern, pattern.new_ones(size - m)])
        whole = torch.outer(signs, signs) / parts
        loss = self.loss * pattern / parts
        return Block(
            both=self.both / parts,
            cross=self.cross / parts,
            none=self.none / parts,
            core=self.core * whole,
            core_dual=self.core_dual * whole,
            loss=loss,
            # Of two copies of Y_zv the one that the loss sees takes all of W.
            loss_dual=self.loss_dual * pattern * 2 / parts,
            cone=torch.cat([loss, self.cone / parts], 2),
            cone_dual=torch.cat([torch.zeros_like(loss), self.cone_dual / parts], 2),
        )

    def rescale(self, factor: float) -> None:
        """W/β after β was multiplied by a factor."""
        diagonal = self.cross.diagonal() / factor
        for values in (self.both, self.cross, self.none):
            values.copy_(torch.where(values < 0, values / factor, values))
        self.cross.diagonal().copy_(diagonal)
        for values in (self.core_dual, self.loss_dual, self.cone_dual):
            values.div_(factor)
