"""What subnetworks of two factors read of the data, and how their hidden responses make outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.problem.readout import Readout


@final
@dataclass(frozen=True, slots=True)
class View:
    """Rows of inputs, one for each sample and position, and the readout.

    Attributes:
        rows: H, (n P, h) float64, the positions of a sample one after the other; a constant last column where the
            subnetworks have a hidden bias.
        free_inputs: number of trailing columns of H whose weights are not penalized (0 or 1).
        readout: makes outputs of hidden responses.
    """

    rows: Tensor
    free_inputs: int = 0
    readout: Readout = Readout()

    @property
    def penalized(self) -> Tensor:
        """The columns of H whose weights are penalized, (n P, h − free_inputs)."""
        return self.rows[:, : self.rows.shape[1] - self.free_inputs]

    @property
    def numbers(self) -> int:
        """How many numbers the subnetworks read."""
        return self.rows.numel()
