"""A penalty on the factors of each subnetwork, and the gauge that it induces.

With t = Π_k |W^k|^{d_k} (the matched product θ, Haeffele and Vidal 2015), rescaling the factors of one
subnetwork at fixed φ turns every penalty here into coefficient · t^exponent at its best. Exponent 1 is the
matched case that the polar condition certifies with λ = coefficient.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from certify.errors import UnsupportedError, UsageError
from certify.problem.kinds import Factors, Kind


@dataclass(frozen=True, slots=True)
class Gauge:
    """Least penalty of a subnetwork with matched product t: coefficient · t**exponent, both positive.

    The coefficient is λ when the exponent is 1; below 1 the penalty has a smaller degree than φ.
    """

    coefficient: float
    exponent: float

    @property
    def strength(self) -> float:
        """λ, with (λ t)**exponent the least penalty."""
        return self.coefficient if self.exponent == 1 else self.coefficient ** (1 / self.exponent)


@dataclass(frozen=True, slots=True)
class Penalty(ABC):
    """Penalty of the stacked factors of a parallel network."""

    @abstractmethod
    def norms(self, factors: Factors, free_inputs: int) -> Factors:
        """Norm of each stacked factor (r, ·), (r,) each, without the trailing free inputs of the first one."""

    @abstractmethod
    def per_subnetwork(self, norms: Factors) -> Tensor:
        """Penalty of each subnetwork, shape (r,), given the norms of its factors, (r,) each."""

    @abstractmethod
    def gauge(self, kind: Kind) -> Gauge:
        """The induced gauge for subnetworks of this kind.

        Raises:
            UnsupportedError: rescaling makes the penalty vanish, so no positive lower bound exists.
        """

    @abstractmethod
    def shares(self, kind: Kind) -> tuple[float, ...]:
        """s_k, such that the least penalty at fixed φ has n_k² proportional to s_k."""


def matched_strength(penalty: Penalty, kind: Kind) -> float:
    """λ of the polar condition.

    Raises:
        UnsupportedError: penalty and subnetwork have different degrees of homogeneity.
    """
    gauge = penalty.gauge(kind)
    if gauge.exponent != 1:
        raise UnsupportedError(
            f"degree mismatch: '{kind.name}' subnetworks have degree {kind.degree}, but the penalty grows with "
            f"degree {gauge.exponent * kind.degree:g} along them; the certificate needs equal degrees. Use "
            f"product_of_norms with powers {list(kind.degrees)}, or a subnetwork of degree 2",
            code="degree-mismatch",
        )
    return gauge.coefficient


def require_one_each(found: str, count: int, kind: Kind) -> None:
    """Raise UsageError unless the penalty has one number for each factor of a subnetwork; `found` says what it has."""
    factors = len(kind.degrees)
    if count != factors:
        raise UsageError(f"{found}, '{kind.name}' subnetworks have {factors} factors", code="shape-mismatch")


def matched_product(norms: Factors, powers: tuple[int, ...]) -> Tensor:
    """Π_k n_k^{p_k} of each subnetwork, (r,), for norms n_k (r,)."""
    product = torch.ones_like(norms[0])
    for norm, power in zip(norms, powers, strict=True):
        product = product * norm**power
    return product


def euclidean_norms(factors: Factors, free_inputs: int) -> Factors:
    """Euclidean norm of each stacked factor (r, ·), (r,) each, without the trailing free inputs of the first one."""
    first = factors[0][:, : factors[0].shape[1] - free_inputs]
    return tuple(torch.linalg.vector_norm(f.flatten(1), dim=1) for f in (first, *factors[1:]))
