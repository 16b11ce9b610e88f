"""Rule 16: losses, their targets, conjugates and domains. Domains are decided exactly; values are balls."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, NamedTuple

from flint import arb, fmpq

from .exact import Matrix, total
from .rejection import afford, require

BALL_STEPS = 200
Value = Fraction | arb


def ball(value: Value) -> arb:
    return arb(fmpq(value.numerator, value.denominator)) if isinstance(value, Fraction) else value


def softplus(value: Fraction) -> arb:
    return ball(max(value, Fraction(0))) + ball(-abs(value)).exp().log1p()


def entropy(value: Fraction) -> arb:
    return ball(value) * ball(value).log() if value else arb(0)


def both(value: Fraction) -> arb:
    return entropy(value) + entropy(1 - value)


def squared(a: Fraction, y: Fraction) -> Fraction:
    return a * a / 4 + a * y


def huber(z: Fraction, y: Fraction) -> Fraction:
    distance = abs(z - y)
    return distance**2 / 2 if distance <= 1 else distance - Fraction(1, 2)


def weighted(terms: Iterable[tuple[Fraction, Value]]) -> arb:
    return sum((ball(weight) * ball(value) for weight, value in terms), arb(0))


def log_sum(z: Matrix) -> arb:
    return ball(max(z)) + sum((ball(entry - max(z)).exp() for entry in z), arb(0)).log()


def crossed_conjugate(a: Matrix, y: Matrix) -> arb:
    """C Σ e((a + y)/C); 0 where C is 0."""
    mass = total(y)
    return weighted((mass, entropy(entry / mass)) for entry in a + y) if mass else arb(0)


class Loss(NamedTuple):
    """l0(z, y), the targets, l0*(a, y) and its domain."""

    value: Callable[[Any, Any], Value]
    allows: Callable[[Any], bool]
    conjugate: Callable[[Any, Any], Value]
    has: Callable[[Any, Any], bool]


LOSSES = {
    "mse": Loss(lambda z, y: (z - y) ** 2, lambda y: True, squared, lambda a, y: True),
    "huber": Loss(huber, lambda y: True, lambda a, y: a * a / 2 + a * y, lambda a, y: abs(a) <= 1),
    "binary-cross-entropy": Loss(
        lambda z, y: softplus(z) - ball(y * z),
        lambda y: 0 <= y <= 1,
        lambda a, y: both(a + y),
        lambda a, y: 0 <= a + y <= 1,
    ),
    "soft-margin": Loss(
        lambda z, y: softplus(-y * z), lambda y: abs(y) == 1, lambda a, y: both(-y * a), lambda a, y: 0 <= -y * a <= 1
    ),
    "squared-hinge": Loss(
        lambda z, y: max(Fraction(0), 1 - y * z) ** 2, lambda y: abs(y) == 1, squared, lambda a, y: -y * a >= 0
    ),
    "poisson": Loss(
        lambda z, y: ball(z).exp() - ball(y * z),
        lambda y: y >= 0,
        lambda a, y: entropy(a + y) - ball(a + y),
        lambda a, y: a + y >= 0,
    ),
    # Of whole rows.
    "cross-entropy": Loss(
        lambda z, y: ball(total(y)) * log_sum(z) - weighted(zip(y, z, strict=True)),
        lambda y: len(y) >= 2 and min(y) >= 0,
        crossed_conjugate,
        lambda a, y: min(a + y) >= 0 and total(a) == 0,
    ),
}


def items(name: str, matrix: Matrix) -> list[Any]:
    return list(matrix if name == "cross-entropy" else matrix.ravel())


def places(name: str, weights: Matrix, values: Matrix, targets: Matrix) -> list[tuple[Fraction, Any, Any]]:
    """Weight, value and target of every item that has a weight."""
    afford(values.size * BALL_STEPS)
    own = items(name, weights[:, 0] if name == "cross-entropy" else weights)
    return [place for place in zip(own, items(name, values), items(name, targets), strict=True) if place[0]]


def loss(name: str, outputs: Matrix, targets: Matrix, weights: Matrix) -> arb:
    return weighted((weight, LOSSES[name].value(z, y)) for weight, z, y in places(name, weights, outputs, targets))


def conjugate(name: str, dual: Matrix, targets: Matrix, weights: Matrix) -> arb:
    """l*(D), after rule 19: D is 0 where ω is, and D/ω is in the domain elsewhere."""
    found = places(name, weights, dual / (weights + (weights == 0)), targets)
    require(all(LOSSES[name].has(a, y) for _, a, y in found), "dual-domain")
    return weighted((weight, LOSSES[name].conjugate(a, y)) for weight, a, y in found)
