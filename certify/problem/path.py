"""What deep subnetworks read of the data, and how the positions of one layer lead to those of the next.

rows → first weight → σ → [averages → windows → weight → σ]… → readout
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.problem.readout import Readout
from certify.problem.view import View


@final
@dataclass(frozen=True, slots=True)
class Hop:
    """How a weight between two activations reads the values before it.

    Attributes:
        positions: number P of positions of a sample before it.
        averages: of positions, (P', P); None for none, and P' = P.
        windows: positions among the P' that each of its Q positions reads, (Q, k); −1 for padding.
    """

    positions: int
    averages: Tensor | None
    windows: Tensor

    @property
    def reach(self) -> int:
        """Number k of weights for each pair of channels."""
        return self.windows.shape[1]

    @property
    def is_dense(self) -> bool:
        """Whether there is one position before it and after it."""
        return self.positions == 1 and self.averages is None and self.windows.shape == (1, 1)

    def to(self, like: Tensor) -> Hop:
        """On the device of a tensor."""
        averages = None if self.averages is None else self.averages.to(like.device)
        return Hop(self.positions, averages, self.windows.to(like.device))

    def gathered(self, values: Tensor) -> Tensor:
        """What the weight reads, (n, Q, k, …), of values (n, P, …)."""
        if self.averages is not None:
            values = torch.einsum("qp,np...->nq...", self.averages, values)
        if self.is_dense:
            return values[:, :, None]
        padded = torch.cat([values, values.new_zeros(len(values), 1, *values.shape[2:])], 1)
        return padded[:, self.windows]

    def through(self, values: Tensor, weights: Tensor) -> Tensor:
        """The next values before their activation, (n, Q, r, m), of values (n, P, r, b) and weights (r, m, b, k)."""
        return torch.einsum("nqkrb,rmbk->nqrm", self.gathered(values), weights)


@final
@dataclass(frozen=True, slots=True)
class Path:
    """What subnetworks of K ≥ 3 weights read.

    Attributes:
        view: what the first weight reads, and what the last one makes.
        hops: of the K − 2 weights between.
    """

    view: View
    hops: tuple[Hop, ...]

    @property
    def free_inputs(self) -> int:
        """As of a `View`."""
        return self.view.free_inputs

    @property
    def readout(self) -> Readout:
        """Of the last weight."""
        return self.view.readout

    @property
    def samples(self) -> int:
        """Number n of samples."""
        return len(self.view.rows) // self.hops[0].positions

    @property
    def numbers(self) -> int:
        """How many numbers the subnetworks read."""
        return self.view.numbers
