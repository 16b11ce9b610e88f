"""What moments are chosen for: the optimum of an objective with one output, or the polar at a given dual point.

With [lo, hi] the interval of E[v σ(t_i)] that the moments Y_± of the units with v > 0 and v < 0 allow (`moments`),
    minimize  l(Z + Z_0 + E C) + Σ_j (μ_j/2)|C_j|² + λ (E_+[v²] + E_−[v²])   over   lo_+ − hi_− ≤ Z ≤ hi_+ − lo_−
is convex in Y_± and C, and below every network; at its solution A = ∇l makes both majorants at most λ. For a given A,
    maximize  Σ r_i E[v relu(t_i)] + Σ l_i E[v t_i]   at   E[v²] = 1,   for both signs of the scores apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from certify.bounds.rows.kinked_scores import kinked_scores
from certify.bounds.rows.relaxations.moments import Moments
from certify.problem import Branch, Objective, Rows
from certify.problem.dual import has_free_intercept
from certify.problem.readout import Readout


class Ends(Protocol):
    """What is known of every row."""

    @property
    def mean(self) -> Tensor:
        """E[v t], (N,)."""

    def ends(self, mass: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the largest E[v relu(t)], (N,) each."""


# Moments of both signs, S and then −S, with what is known of all rows.
Signs = Sequence[tuple[Moments, Ends]]


@final
@dataclass(frozen=True, slots=True)
class JointProgram:
    """The optimum of an objective with one branch, one output and one score column.

    Attributes:
        objective: to be bounded from below.
        features: E, (n, k), a column of ones included where 1ᵀA = 0 is needed.
        ridge: μ, (k,).
        form: of the branch.
    """

    objective: Objective
    features: Tensor
    ridge: Tensor
    form: Rows

    @property
    def coefficients(self) -> int:
        """Rows of C."""
        return self.features.shape[1]

    def value(self, signs: Signs, coefficients: Tensor) -> Tensor:
        """The objective at C (k, 1), with gradient."""
        loss = self.objective.loss
        low, high = self._interval(signs, coefficients)
        rising, falling = loss.gradient(low) > 0, loss.gradient(high) < 0
        terms = loss.value_terms(torch.where(rising, low, high))
        least = -loss.conjugate_terms(torch.zeros_like(low))
        ridge: Tensor = (self.ridge[:, None] / 2 * coefficients**2).sum()
        masses = sum((moments.mass for moments, _ in signs), ridge.new_zeros(()))
        return torch.where(rising | falling, terms, least).sum() + ridge + self.objective.branches[0].strength * masses

    def dual(self, signs: Signs, coefficients: Tensor) -> Tensor:
        """∇l(Z) at the best Z, (n, 1)."""
        low, high = self._interval(signs, coefficients)
        loss = self.objective.loss
        return loss.gradient(low).clamp_min(0) + loss.gradient(high).clamp_max(0)

    def _interval(self, signs: Signs, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the largest Z + Z_0 + E C, (n, 1) each."""
        base = self.features @ coefficients
        if self.objective.offset is not None:
            base = base + self.objective.offset
        (first, last), (least, largest) = (self._ends(*sign) for sign in signs)
        return base + first - largest, base + last - least

    def _ends(self, moments: Moments, responses: Ends) -> tuple[Tensor, Tensor]:
        """The least and the largest output of one sign, (n, 1) each."""
        slopes, readout = self.form.slopes, self.form.view.readout
        low, high = (slopes.bend * end + slopes.negative * responses.mean for end in responses.ends(moments.mass))
        if slopes.bend < 0:
            low, high = high, low
        if readout.weights is None:
            return low[:, None], high[:, None]
        one = low.new_ones(1, 1)
        up, down = Readout(readout.weights.clamp_min(0)), Readout((-readout.weights).clamp_min(0))
        return (
            up.sum(low[:, None], one) - down.sum(high[:, None], one),
            up.sum(high[:, None], one) - down.sum(low[:, None], one),
        )


@final
@dataclass(frozen=True, slots=True)
class GivenDual:
    """The polar of one branch at a dual point, its scores S being one column (N, 1), in units of λ."""

    form: Rows
    scores: Tensor
    strength: float

    @property
    def coefficients(self) -> int:
        """Rows of C."""
        return 0

    def value(self, signs: Signs, coefficients: Tensor) -> Tensor:
        """Σ E[v²]²/2 − Σ q_i E[v σ(t_i)] over both signs of q; the least is −U²/2 for each sign, at E[v²] = U."""
        parts = kinked_scores(self.form.slopes, self.scores / self.strength)
        total = coefficients.sum()
        for sign, (moments, found) in zip((1.0, -1.0), signs, strict=True):
            own, (low, high) = parts.column(0, sign), found.ends(moments.mass)
            best = torch.where(own.rectified > 0, high, low)
            total = total + moments.mass**2 / 2 - own.rectified @ best - own.linear @ found.mean
        return total


MomentProgram = JointProgram | GivenDual


def joint_program(objective: Objective, form: Rows) -> JointProgram:
    """The program of an objective with one branch and one output."""
    convex = objective.convex
    features, ridge = convex.features, convex.ridge
    if has_free_intercept(objective) and not bool((features[:, convex.free] == 1).all(0).any()):
        features = torch.cat([features, features.new_ones(len(features), 1)], 1)
        ridge = torch.cat([ridge, ridge.new_zeros(1)])
    return JointProgram(objective, features, ridge, form)


def given_dual(branch: Branch, form: Rows, dual: Tensor) -> GivenDual:
    """The program of a branch at A (n, c)."""
    return GivenDual(form, branch.scores(dual), branch.strength)
