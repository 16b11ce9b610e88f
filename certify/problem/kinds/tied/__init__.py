"""Tied weights: φ = (H u) uᵀ, of one factor, as in X U Uᵀ, whose decoder is the transposed encoder; degree 2.

A penalized hidden bias b is the last entry of u, reads a constant column of H, and is no output: (x·w + b) w.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self, final

import torch
from torch import Tensor

from certify.problem.forms import Symmetric
from certify.problem.kinds.kind import Factors, Kind, Operation
from certify.problem.view import View


@final
@dataclass(frozen=True, slots=True)
class Tied(Kind):
    """One row u (r, h) of a weight that is read twice; `biased` where its last entry is a hidden bias."""

    biased: bool = False

    name: ClassVar[str] = "tied"
    degrees: ClassVar[tuple[int, ...]] = (2,)
    polar: ClassVar[type[Symmetric]] = Symmetric
    bounded_with_free_bias: ClassVar[bool] = False
    steps: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def from_operations(cls, operations: tuple[Operation, ...]) -> Self | None:  # noqa: ARG003
        return None

    def form(self, view: View) -> Symmetric:
        return Symmetric(view)

    def sizes(self, view: View, outputs: int) -> tuple[int, ...]:  # noqa: ARG002
        return (view.rows.shape[1],)

    def forward(self, view: View, factors: Factors) -> Tensor:
        return view.rows @ factors[0].T @ self._decoded(factors)

    def outputs(self, view: View, factors: Factors) -> Tensor:
        return torch.einsum("nr,rc->rnc", view.rows @ factors[0].T, self._decoded(factors))

    def pairing(self, view: View, dual: Tensor, factors: Factors) -> Tensor:
        return torch.einsum("rh,hc,rc->r", factors[0], view.rows.T @ dual, self._decoded(factors))

    def magnitudes(self, view: View, factors: Factors) -> Tensor:
        return view.rows.abs() @ factors[0].T.abs() @ self._decoded(factors).abs()

    def span_upper(self, view: View, outputs: int) -> int:
        """Dimension of {H P}, P symmetric: all such P but those whose range is in the kernel of H."""
        inputs = view.rows.shape[1]
        blind = inputs - int(torch.linalg.matrix_rank(view.rows))
        return min((inputs * (inputs + 1) - blind * (blind + 1)) // 2, len(view.rows) * outputs)

    def terms(self, view: View, outputs: int, width: int) -> int:  # noqa: ARG002
        return view.rows.shape[1] + width

    def blank(self, view: View, outputs: int) -> Factors:  # noqa: ARG002
        return (view.rows.new_zeros(0, view.rows.shape[1]),)

    def _decoded(self, factors: Factors) -> Tensor:
        return factors[0][:, :-1] if self.biased else factors[0]
