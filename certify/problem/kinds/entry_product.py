"""A rank-one term of a factorization, φ(u_1, …, u_K) = (Π_k u_k[i_k])_i over the entries i that the samples are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from certify.problem.entries import Entries, products_with
from certify.problem.forms import Multilinear
from certify.problem.kinds.kind import Factors, Kind, Operation


@dataclass(frozen=True, slots=True)
class EntryProduct(Kind):
    """Factors u_k (r, n_k), one for each axis; degree 1 in each."""

    polar: ClassVar[type[Multilinear]] = Multilinear
    steps: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def from_operations(cls, operations: tuple[Operation, ...]) -> Self | None:  # noqa: ARG003
        return None

    def form(self, view: Entries) -> Multilinear:
        return Multilinear(view)

    def sizes(self, view: Entries, outputs: int) -> tuple[int, ...]:  # noqa: ARG002
        return view.shape

    def forward(self, view: Entries, factors: Factors) -> Tensor:
        return view.sums(factors)[:, None]

    def outputs(self, view: Entries, factors: Factors) -> Tensor:
        found = torch.cat([product for _, product in view.products(factors)])
        return view.weighted(found).T[:, :, None]

    def pairing(self, view: Entries, dual: Tensor, factors: Factors) -> Tensor:
        weights, added = view.split(dual[:, 0])
        total = factors[0].new_zeros(len(factors[0])) if added is None else products_with(added, factors)
        for chosen, product in view.products(factors):
            total = total + weights[chosen] @ product
        return total

    def magnitudes(self, view: Entries, factors: Factors) -> Tensor:
        sizes: Tensor = view.sums(tuple(f.abs() for f in factors)).abs()
        return sizes[:, None]

    def span_upper(self, view: Entries, outputs: int) -> int:  # noqa: ARG002
        return min(math.prod(view.shape), len(view.indices))

    def terms(self, view: Entries, outputs: int, width: int) -> int:  # noqa: ARG002
        return width + view.order + 2

    def blank(self, view: Entries, outputs: int) -> Factors:
        return tuple(torch.zeros(0, n, dtype=torch.float64, device=view.indices.device) for n in view.shape)
