"""Penalties of the weights of one subnetwork, and what they cost for the best scaling of its two factors.

(s₀ |u|² + s_b b²)/2 + s₁ |v|²/2 ≥ √(s₀ s₁) |(u, b √(s_b/s₀))| |v| (Srebro, Rennie and Jaakkola 2004): the polar has
the strength √(s₀ s₁), and in it a penalized bias weighs as much as the other inputs, but reads the constant √(s₀/s_b).
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
    """(s₀ |u|² + s_b b² + s₁ |v|²)/2: strengths s₀ and s₁, and s_b of a penalized bias, None if there is none."""

    strengths: tuple[float, float]
    bias: float | None

    def strength(self, real: Real) -> float:
        """Lower bound on √(s₀ s₁), exact if they are equal."""
        first, second = self.strengths
        return first if first == second else float((real(first) * second).square_root().low)

    def constant(self, real: Real) -> Reals:
        """What a penalized bias reads: √(s₀/s_b)."""
        same = self.bias is None or self.bias == self.strengths[0]
        return real(1.0) if same else (real(self.strengths[0]) / real(self.bias or 1.0)).square_root()

    def value(self, first: Array, bias: Array | None, second: Array, real: Real) -> Reals:
        """The penalty of weights (r, h), (r,) and (r, m)."""
        total = _squares(first, real).sum() * self.strengths[0] + _squares(second, real).sum() * self.strengths[1]
        if self.bias is not None and bias is not None:
            total = total + _squares(bias, real).sum() * self.bias
        return total * 0.5

    def require_fitting(self, activation: Activation) -> None:
        """Strengths are positive, and the subnetwork is of degree 1 in each factor.

        Raises:
            Rejection: not so.
        """
        require(not isinstance(activation, Square), "degree", "weight decay does not have the degree of a square")
        strengths = (*self.strengths, *(() if self.bias is None else (self.bias,)))
        require(min(strengths) > 0, "strength", f"weight decay {strengths} must be positive")

    def __str__(self) -> str:
        first, second = self.strengths
        shown = f"weight-decay {first:g}" if first == second else f"weight-decay {first:g} and {second:g}"
        return shown + ("" if self.bias in (None, first) else f", of the bias {self.bias:g}")


@final
@dataclass(frozen=True, slots=True)
class ProductOfNorms:
    """λ |u|^p₀ |v|^p₁: level λ, powers p₀ and p₁, and whether a bias is penalized, as one more entry of u."""

    level: float
    powers: tuple[int, ...]
    with_bias: bool

    def strength(self, real: Real) -> float:  # noqa: ARG002
        """λ."""
        return self.level

    def constant(self, real: Real) -> Reals:
        """What a penalized bias reads: 1."""
        return real(1.0)

    def value(self, first: Array, bias: Array | None, second: Array, real: Real) -> Reals:
        """The penalty of weights (r, h), (r,) and (r, m)."""
        squares = _squares(first, real).sum(1)
        squares = squares + _squares(bias, real) if self.with_bias and bias is not None else squares
        sizes = squares if self.powers[0] == 2 else squares.square_root()
        return (sizes * real(second).row_norms()).sum() * self.level

    def require_fitting(self, activation: Activation) -> None:
        """The strength is positive, and the powers are the degrees of the subnetwork.

        Raises:
            Rejection: not so.
        """
        degrees = (2, 1) if isinstance(activation, Square) else (1, 1)
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

    def strength(self, real: Real) -> float:  # noqa: ARG002
        """λ."""
        return self.level

    def constant(self, real: Real) -> Reals:
        """What a penalized bias reads: 1."""
        return real(1.0)

    def value(self, first: Array, bias: Array | None, second: Array, real: Real) -> Reals:
        """The penalty of weights (r, h), (r,) and (r, m)."""
        whole = np.column_stack([first, bias]) if self.with_bias and bias is not None else first
        return (self.left.value(real(whole)) * self.right.value(real(second))).sum() * self.level

    def require_fitting(self, activation: Activation) -> None:
        """The strength is positive, the norms are norms, and the subnetwork has no activation.

        Raises:
            Rejection: not so.
        """
        require(activation == IDENTITY, "degree", "factor-norms need subnetworks without an activation")
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

    level: float
    bias: float | None

    def strength(self, real: Real) -> float:
        """Lower bound on s/2."""
        return float((real(self.level) * 0.5).low)

    def constant(self, real: Real) -> Reals:
        """What a penalized bias reads: √(s/s_b)."""
        same = self.bias is None or self.bias == self.level
        return real(1.0) if same else (real(self.level) / real(self.bias or 1.0)).square_root()

    def value(self, first: Array, bias: Array | None, second: Array, real: Real) -> Reals:  # noqa: ARG002
        """The penalty of weights (r, d) and (r,)."""
        total = _squares(first, real).sum() * self.level
        if self.bias is not None and bias is not None:
            total = total + _squares(bias, real).sum() * self.bias
        return total * 0.5

    def require_fitting(self, activation: Activation) -> None:  # noqa: ARG002
        """Strengths are positive.

        Raises:
            Rejection: not so.
        """
        require(min(self.level, self.level if self.bias is None else self.bias) > 0, "strength", f"{self}")

    def __str__(self) -> str:
        bias = "" if self.bias in (None, self.level) else f", of the bias {self.bias:g}"
        return f"weight-decay {self.level:g}{bias}"


Penalty: TypeAlias = WeightDecay | ProductOfNorms | FactorNorms | TiedDecay


def read_penalty(value: object, place: str, with_bias: bool) -> Penalty:
    """The penalty of a branch at a place of the header, whose hidden bias is penalized or not.

    Raises:
        Rejection: refused.
    """
    name: Any = value.get("name") if isinstance(value, dict) else None
    if name == "weight-decay":
        entry = section(value, place, ("name", "strengths", "bias"))
        strengths = [number(strength, f"{place}.strengths") for strength in listed(entry["strengths"], place)]
        if len(strengths) != 2 or with_bias != (entry["bias"] is not None):
            refuse("schema", f"{place}: needs two strengths, and a third of the bias where it is penalized")
        bias = number(entry["bias"], f"{place}.bias") if with_bias else None
        return WeightDecay((strengths[0], strengths[1]), bias)
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
