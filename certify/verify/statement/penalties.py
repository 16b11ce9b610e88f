"""Penalties of the weights of one subnetwork, and what they cost for the best scaling of its two factors.

(s₀ |u|² + s_b b²)/2 + s₁ |v|²/2 ≥ √(s₀ s₁) |(u, b √(s_b/s₀))| |v| (Srebro, Rennie and Jaakkola 2004): the polar has
the strength √(s₀ s₁), and in it a penalized bias weighs as much as the other inputs, but reads the constant √(s₀/s_b).
For degrees d_k of the factors, Σ_k (s_k/2) n_k² ≥ (λ Π_k n_k^{d_k})^{2/D} with λ² = Π_k (D s_k/(2 d_k))^{d_k}, D = Σ_k
d_k (inequality of weighted means); degrees (1, 1) give the above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np

from certify.verify.reals import Array, Real, Reals
from certify.verify.rejection import refuse, require
from certify.verify.statement.activations import IDENTITY, Activation, Square
from certify.verify.statement.fields import choice, integers, listed, number, section
from certify.verify.statement.side_norms import SideNorm, read_side


@final
@dataclass(frozen=True, slots=True)
class WeightDecay:
    """(s₀ |u|² + s_b b² + s₁ |v|²)/2: a strength of each weight, and s_b of a penalized bias, None if there is none."""

    strengths: tuple[float, ...]
    bias: float | None

    def constant(self, real: Real) -> Reals:
        """What a penalized bias reads: √(s₀/s_b)."""
        same = self.bias is None or self.bias == self.strengths[0]
        return real(1.0) if same else (real(self.strengths[0]) / real(self.bias or 1.0)).square_root()

    def value(self, factors: list[Array], bias: Array | None, real: Real) -> Reals:
        """The penalty of weights (r, ·) each, and a bias (r, ·)."""
        total = real(0.0)
        for factor, strength in zip(factors, self.strengths, strict=True):
            total = total + _squares(factor, real).sum() * strength
        if self.bias is not None and bias is not None:
            total = total + _squares(bias, real).sum() * self.bias
        return total * 0.5

    def require_fitting(self, activation: Activation, weights: int) -> None:  # noqa: ARG002
        """Strengths are positive, one for each weight.

        Raises:
            Rejection: not so.
        """
        require(len(self.strengths) == weights, "degree", f"{len(self.strengths)} strengths of {weights} weights")
        strengths = (*self.strengths, *(() if self.bias is None else (self.bias,)))
        require(min(strengths) > 0, "strength", f"weight decay {strengths} must be positive")

    def __str__(self) -> str:
        first, *others = self.strengths
        alike = set(others) == {first}
        shown = "weight-decay " + (f"{first:g}" if alike else " and ".join(f"{s:g}" for s in self.strengths))
        return shown + ("" if self.bias in (None, first) else f", of the bias {self.bias:g}")


@final
@dataclass(frozen=True, slots=True)
class ProductOfNorms:
    """λ |u|^p₀ |v|^p₁: level λ, powers p₀ and p₁, and whether a bias is penalized, as one more entry of u."""

    level: float
    powers: tuple[int, ...]
    with_bias: bool

    def constant(self, real: Real) -> Reals:
        """What a penalized bias reads: 1."""
        return real(1.0)

    def value(self, factors: list[Array], bias: Array | None, real: Real) -> Reals:
        """The penalty of weights (r, ·) each, and a bias (r, ·)."""
        first, *others = factors
        squares = _squares(first, real).sum(1)
        if self.with_bias and bias is not None:
            squares = squares + _squares(bias if bias.ndim == 2 else bias[:, None], real).sum(1)
        product = squares if self.powers[0] == 2 else squares.square_root()
        for factor in others:
            product = product * real(factor).row_norms()
        return product.sum() * self.level

    def require_fitting(self, activation: Activation, weights: int) -> None:
        """The strength is positive, and the powers are the degrees of the subnetwork.

        Raises:
            Rejection: not so.
        """
        degrees = (2, 1) if isinstance(activation, Square) else (1,) * weights
        require(self.powers == degrees, "degree", f"product-of-norms with powers {degrees} is needed")
        require(self.level > 0, "strength", f"product-of-norms {self.level!r} must be positive")

    def __str__(self) -> str:
        return f"product-of-norms {self.level:g} with powers {list(self.powers)}"


@final
@dataclass(frozen=True, slots=True)
class FactorNorms:
    """λ N(u) N'(v): level λ, N and N', and whether a bias is penalized, as one more entry of u."""

    level: float
    left: SideNorm
    right: SideNorm
    with_bias: bool

    def constant(self, real: Real) -> Reals:
        """What a penalized bias reads: 1."""
        return real(1.0)

    def value(self, factors: list[Array], bias: Array | None, real: Real) -> Reals:
        """The penalty of weights (r, h) and (r, m), and a bias (r,)."""
        first, second = factors
        whole = np.column_stack([first, bias]) if self.with_bias and bias is not None else first
        return (self.left.value(real(whole)) * self.right.value(real(second))).sum() * self.level

    def require_fitting(self, activation: Activation, weights: int) -> None:
        """The strength is positive, the norms are norms, and the subnetwork has no activation.

        Raises:
            Rejection: not so.
        """
        fits = weights == 2 and activation == IDENTITY
        require(fits, "degree", "factor-norms need subnetworks of two weights without an activation")
        require(self.level > 0, "strength", f"factor-norms {self.level!r} must be positive")
        for side in (self.left, self.right):
            side.require_norm()

    def require_inside(self, first: Array, bias: Array | None, second: Array) -> None:
        """The weights lie in the cones.

        Raises:
            Rejection: not so.
        """
        for side, factor in ((self.left, first), (self.left, bias if self.with_bias else None), (self.right, second)):
            side.require_inside(factor)

    def __str__(self) -> str:
        return f"factor-norms {self.level:g} of {self.left} and {self.right}"


@final
@dataclass(frozen=True, slots=True)
class TiedDecay:
    """(s |u|² + s_b b²)/2 of one weight that is read twice: strengths s, and s_b of a penalized bias or None.

    It is (s/2) |(u, b √(s_b/s))|² as it stands: the polar has the strength s/2, and the bias reads √(s/s_b).
    """

    decay: float
    bias: float | None

    def strength(self, real: Real) -> float:
        """Lower bound on s/2."""
        return float((real(self.decay) * 0.5).low)

    def constant(self, real: Real) -> Reals:
        """What a penalized bias reads: √(s/s_b)."""
        same = self.bias is None or self.bias == self.decay
        return real(1.0) if same else (real(self.decay) / real(self.bias or 1.0)).square_root()

    def value(self, factors: list[Array], bias: Array | None, real: Real) -> Reals:
        """The penalty of a weight (r, d) and a bias (r,)."""
        (weight,) = factors
        total = _squares(weight, real).sum() * self.decay
        if self.bias is not None and bias is not None:
            total = total + _squares(bias, real).sum() * self.bias
        return total * 0.5

    def require_fitting(self, activation: Activation, weights: int) -> None:
        """Strengths are positive, and there is one weight without an activation.

        Raises:
            Rejection: not so.
        """
        require(weights == 1 and activation == IDENTITY, "degree", "one strength needs tied weights")
        require(min(self.decay, self.decay if self.bias is None else self.bias) > 0, "strength", f"{self}")

    def __str__(self) -> str:
        bias = "" if self.bias in (None, self.decay) else f", of the bias {self.bias:g}"
        return f"weight-decay {self.decay:g}{bias}"


Penalty: TypeAlias = WeightDecay | ProductOfNorms | FactorNorms | TiedDecay


def decay_strength(strengths: tuple[float, ...], degrees: tuple[int, ...], real: Real) -> float:
    """Lower bound on the λ of weight decays s_k, for degrees d_k; exact for two equal ones of degree 1."""
    degree = sum(degrees)
    if degree == 2 and len(set(strengths)) == 1:
        return strengths[0]
    square = real(1.0)
    for strength, own in zip(strengths, degrees, strict=True):
        ratio = real(strength) if degree == 2 * own else real(degree) * strength / real(2 * own)
        for _ in range(own):
            square = square * ratio
    return float(square.square_root().low)


def read_penalty(value: object, place: str, with_bias: bool) -> Penalty:
    """The penalty of a branch at a place of the header, whose hidden bias is penalized or not.

    Raises:
        Rejection: refused.
    """
    name: Any = value.get("name") if isinstance(value, dict) else None
    if name == "weight-decay":
        entry = section(value, place, ("name", "strengths", "bias"))
        strengths = [number(strength, f"{place}.strengths") for strength in listed(entry["strengths"], place)]
        if len(strengths) < 2 or with_bias != (entry["bias"] is not None):
            refuse("schema", f"{place}: needs a strength of each weight, and one of the bias where it is penalized")
        bias = number(entry["bias"], f"{place}.bias") if with_bias else None
        return WeightDecay(tuple(strengths), bias)
    if name == "factor-norms":
        entry = section(value, place, ("name", "strength", "left", "right"))
        left, right = (read_side(entry[side], f"{place}.{side}") for side in ("left", "right"))
        return FactorNorms(number(entry["strength"], f"{place}.strength"), left, right, with_bias)
    choice(name, f"{place}.name", ("weight-decay", "product-of-norms", "factor-norms"))
    entry = section(value, place, ("name", "strength", "powers"))
    powers = integers(entry["powers"], f"{place}.powers", 1)
    return ProductOfNorms(number(entry["strength"], f"{place}.strength"), powers, with_bias)


def read_tied_decay(value: object, place: str, with_bias: bool) -> TiedDecay:
    """The penalty of one weight that is read twice.

    Raises:
        Rejection: refused.
    """
    entry = section(value, place, ("name", "strengths", "bias"))
    choice(entry["name"], f"{place}.name", ("weight-decay",))
    strengths = [number(strength, f"{place}.strengths") for strength in listed(entry["strengths"], place)]
    if len(strengths) != 1 or with_bias != (entry["bias"] is not None):
        refuse("schema", f"{place}: tied weights have one strength, and another of the bias where it is penalized")
    return TiedDecay(strengths[0], number(entry["bias"], f"{place}.bias") if with_bias else None)


def _squares(values: Array, real: Real) -> Reals:
    found = real(values)
    return found * found
