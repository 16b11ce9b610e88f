"""Where the subnetworks of a network have their parts of a parameter, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Index = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True)
class Part:
    """Where r subnetworks have their parts of one parameter.

    Attributes:
        parameter: its name in the model.
        rows: indices along its first axis, (r, k), or None for all of a single subnetwork's or shared axis.
        columns: indices along its second axis, (r, l), or None likewise.
    """

    parameter: str
    rows: Index | None
    columns: Index | None

    def of(self, tensor: Tensor, width: int) -> Tensor:
        """The parts of a tensor shaped as the parameter, stacked along a leading axis r."""
        rows, columns = (
            None if i is None else torch.from_numpy(i).to(tensor.device) for i in (self.rows, self.columns)
        )
        if rows is not None and columns is not None:
            return tensor[rows[:, :, None], columns[:, None, :]]
        if rows is not None:
            return tensor[rows]
        if columns is not None:
            return tensor[:, columns].movedim(1, 0)
        return tensor.expand(width, *tensor.shape)

    def placed(self, stack: Tensor) -> Tensor:
        """The parameter that holds the parts of a stack (r′, …) of any width, one after the other; the rest is 0."""
        if self.rows is not None and self.columns is not None:
            high, wide = stack.shape[1:3]
            whole = stack.new_zeros(len(stack) * high, len(stack) * wide, *stack.shape[3:])
            for i, block in enumerate(stack):
                whole[i * high : (i + 1) * high, i * wide : (i + 1) * wide] = block
            return whole
        if self.rows is not None:
            return stack.flatten(0, 1)
        return stack.movedim(0, 1).flatten(1, 2) if self.columns is not None else stack.squeeze(0)
