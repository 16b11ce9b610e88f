"""Rule 14: penalties of a branch."""

from fractions import Fraction
from typing import Any, NamedTuple

from .exact import Matrix, root_above, square_norms, total
from .rejection import require
from .schema import number


class Penalty(NamedTuple):
    """λ², s₀/s_b (the square of the column of a penalized bias), [s₀, s_b, s₁] of weight decay, and p₀."""

    square_strength: Fraction
    bias_ratio: Fraction
    decays: tuple[Fraction, Fraction, Fraction] | None
    power: int

    def above(self, first: Matrix, biases: Matrix, second: Matrix) -> Fraction:
        """At least Σ θ, and no more than roots need; biases that are not penalized are zeros here."""
        squares = [square_norms(first), square_norms(biases), square_norms(second)]
        if self.decays is not None:
            return sum(decay * total(own) for decay, own in zip(self.decays, squares, strict=True)) / Fraction(2)
        units = zip(*squares, strict=True)
        sizes = [root_above((one + bias) ** self.power * other) for one, bias, other in units]
        return root_above(self.square_strength) * total(sizes)


def penalty_of(stated: dict[str, Any], has_square: bool) -> Penalty:
    if stated["name"] == "weight-decay":
        require(not has_square, "degree")
        own, other = map(number, stated["strengths"])
        bias = own if stated["bias"] is None else number(stated["bias"])
        require(min(own, other, bias) > 0, "strength")
        return Penalty(own * other, own / bias, (own, bias, other), 1)
    require(stated["powers"] == ([2, 1] if has_square else [1, 1]), "degree")
    strength = number(stated["strength"])
    require(strength > 0, "strength")
    return Penalty(strength**2, Fraction(1), None, stated["powers"][0])
