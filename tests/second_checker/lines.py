"""Rule 62: what lines a − p τ below the loss show, where the penalty is at least τ^(2/D)."""

from fractions import Fraction

from flint import arb

from .exact import above, root_above
from .losses import ball
from .rejection import require
from .statement import Statement


def below(value: arb) -> Fraction:
    """A number with few digits, at most this one."""
    mantissa, exponent = value.lower().man_exp()
    return -above(-int(mantissa) * Fraction(2) ** int(exponent))


def slope(problem: Statement, scale: Fraction, polars: list[Fraction]) -> Fraction:
    """At least s U/λ of every branch."""
    shares = zip(polars, problem.branches, strict=True)
    return max(above(root_above((scale * polar) ** 2 / branch.square_strength)) for polar, branch in shares)


def sums_at_kinks(values: list[arb], slopes: list[Fraction], degree: int) -> list[arb]:
    """The highest line plus τ^(2/D), at 0 and wherever two lines meet."""
    require(0 in slopes, "dual-value")
    lines = [*zip(map(below, values), slopes, strict=True)]
    kinks = [(a - b) / (p - q) for a, p in lines for b, q in lines if p > q and a > b]
    powers = [ball(0), *(ball(kink) ** (arb(2) / degree) for kink in kinks)]
    tops = (max(a - p * kink for a, p in lines) for kink in [Fraction(0), *kinks])
    return [ball(top) + power for top, power in zip(tops, powers, strict=True)]
