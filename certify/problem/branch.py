"""A branch of a parallel network: subnetworks of one kind on one view of the data, with their penalty."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from torch import Tensor

from certify.problem.entries import Entries
from certify.problem.forms import Bilinear, Multilinear, PolarForm
from certify.problem.kinds import Factors, Kind
from certify.problem.path import Path
from certify.problem.penalties import FactorNorms, Penalty, ProductOfNorms, matched_product, matched_strength
from certify.problem.penalties.penalty import Gauge
from certify.problem.rounding import rounded_sum
from certify.problem.side_norm import EUCLIDEAN, SideNorm
from certify.problem.view import View


@final
@dataclass(frozen=True, slots=True)
class Branch:
    """Subnetworks φ that differ in their weights alone, what they read, and the penalty θ with its strength."""

    kind: Kind
    view: View | Entries | Path
    penalty: Penalty

    @property
    def strength(self) -> float:
        """λ of the polar condition Ω°(−A) ≤ λ.

        Raises:
            UnsupportedError: penalty and subnetwork have different degrees.
        """
        return matched_strength(self.penalty, self.kind)

    @property
    def gauge(self) -> Gauge:
        """Least penalty of a subnetwork by its matched product."""
        return self.penalty.gauge(self.kind)

    def matched(self, slope: float) -> Branch:
        """With the penalty s λ t, λ the strength of the gauge."""
        return replace(self, penalty=ProductOfNorms(slope * self.gauge.strength, self.kind.degrees))

    @property
    def form(self) -> PolarForm:
        """The shape of its polar."""
        form = self.kind.form(self.view)
        if isinstance(form, Bilinear | Multilinear) and isinstance(self.penalty, FactorNorms):
            return form.under(self.penalty.sides)
        return form

    @property
    def sides(self) -> tuple[SideNorm, ...]:
        """Norms and cones of the factors."""
        form = self.form
        return form.sides if isinstance(form, Bilinear | Multilinear) else (EUCLIDEAN,) * len(self.kind.degrees)

    @property
    def table(self) -> View:
        """What its subnetworks read, where that is rows of inputs.

        Raises:
            TypeError: they are terms of a factorization, or deep.
        """
        if not isinstance(self.view, View):
            raise TypeError(f"'{self.kind.name}' subnetworks are not told by rows and a readout")
        return self.view

    def scores(self, dual: Tensor) -> Tensor:
        """S of Q = −A for A (n, c): (n P, m) with <Q, φ> = vᵀ Sᵀ σ(H u), or Q itself on entries."""
        return -dual if isinstance(self.view, Entries) else -self.view.readout.scores(dual)

    def forward(self, stack: Factors) -> Tensor:
        """Σ_i φ(W_i), (n, c)."""
        return self.kind.forward(self.view, stack)

    def outputs(self, stack: Factors) -> Tensor:
        """φ(W_i) of every subnetwork, (r, n, c)."""
        return self.kind.outputs(self.view, stack)

    def pairing(self, dual: Tensor, stack: Factors) -> Tensor:
        """<−A, φ(W_i)> of every subnetwork, (r,), for A (n, c)."""
        return -self.kind.pairing(self.view, dual, stack)

    def norms(self, stack: Factors) -> Factors:
        """Penalized norm of every factor of every subnetwork, (r,) each."""
        return self.penalty.norms(stack, self.view.free_inputs)

    def penalty_of(self, stack: Factors) -> float:
        """Penalty of all subnetworks."""
        return rounded_sum(self.penalty.per_subnetwork(self.norms(stack)).tolist())

    def products(self, stack: Factors) -> Tensor:
        """t_i = Π_k |W_i^k|^{d_k} of every subnetwork, (r,)."""
        return matched_product(self.norms(stack), self.kind.degrees)

    def empty(self, outputs: int) -> Factors:
        """The stack of width zero."""
        return self.kind.blank(self.view, outputs)
