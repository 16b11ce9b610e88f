"""Rule 14: penalties of a branch."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .exact import Matrix, root_above, square_norms, total
from .rejection import require
from .schema import number


@dataclass(frozen=True)
class Penalty:
    """θ, as far as proofs and the objective need it.

    Attributes:
        square_strength: λ².
        bias_ratio: s₀/s_b, the square of the column of a penalized bias; 1 for product-of-norms.
        decays: s₀, s₁ and s_b of weight decay, s_b = 0 for a bias that is not penalized; None for product-of-norms.
        power: p₀ of product-of-norms.
    """

    square_strength: Fraction
    bias_ratio: Fraction
    decays: tuple[Fraction, Fraction, Fraction] | None
    power: int

    def above(self, first: Matrix, biases: Matrix | None, second: Matrix) -> Fraction:
        """At least Σ θ, and no more than roots need; `biases` are None unless penalized."""
        first_squares, second_squares = square_norms(first), square_norms(second)
        bias_squares = [bias * bias for bias in biases.tolist()] if biases is not None else [Fraction(0)] * len(first)
        if self.decays is not None:
            own, other, bias = self.decays
            return (own * total(first_squares) + bias * total(bias_squares) + other * total(second_squares)) / 2
        sizes = [
            root_above((one + bias) ** self.power * other)
            for one, bias, other in zip(first_squares, bias_squares, second_squares, strict=True)
        ]
        return root_above(self.square_strength) * total(sizes)


def penalty_of(stated: dict[str, Any], has_square: bool) -> Penalty:
    """The penalty of a branch with or without a square."""
    if stated["name"] == "weight-decay":
        require(not has_square, "degree")
        own, other = map(number, stated["strengths"])
        bias = number(stated["bias"]) if stated["bias"] is not None else None
        require(own > 0 and other > 0 and (bias is None or bias > 0), "strength")
        ratio = own / bias if bias is not None else Fraction(1)
        return Penalty(own * other, ratio, (own, other, bias or Fraction(0)), 1)
    require(stated["powers"] == ([2, 1] if has_square else [1, 1]), "degree")
    strength = number(stated["strength"])
    require(strength > 0, "strength")
    return Penalty(strength**2, Fraction(1), None, stated["powers"][0])
