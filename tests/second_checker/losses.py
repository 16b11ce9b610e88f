"""Rule 16: losses, their targets, conjugates and domains. Domains are decided exactly; values are balls."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import NamedTuple

from flint import arb, fmpq

from .exact import Matrix, total
from .rejection import afford, require

BALL_STEPS = 200
Value = Fraction | arb


def ball(value: Value) -> arb:
    """Encloses a fraction."""
    return arb(fmpq(value.numerator, value.denominator)) if isinstance(value, Fraction) else value


def softplus(value: Fraction) -> arb:
    """log(1 + e^z)."""
    return ball(max(value, Fraction(0))) + ball(-abs(value)).exp().log1p()


def entropy(value: Fraction) -> arb:
    """e(t) = t log t."""
    return ball(value) * ball(value).log() if value else arb(0)


def huber(z: Fraction, y: Fraction) -> Fraction:
    distance = abs(z - y)
    return distance**2 / 2 if distance <= 1 else distance - Fraction(1, 2)


class Loss(NamedTuple):
    """Of one entry: l0(z, y), the targets, l0*(a, y) and its domain."""

    value: Callable[[Fraction, Fraction], Value]
    allows: Callable[[Fraction], bool]
    conjugate: Callable[[Fraction, Fraction], Value]
    has: Callable[[Fraction, Fraction], bool]


LOSSES = {
    "mse": Loss(lambda z, y: (z - y) ** 2, lambda y: True, lambda a, y: a * a / 4 + a * y, lambda a, y: True),
    "huber": Loss(huber, lambda y: True, lambda a, y: a * a / 2 + a * y, lambda a, y: abs(a) <= 1),
    "binary-cross-entropy": Loss(
        lambda z, y: softplus(z) - ball(y * z),
        lambda y: 0 <= y <= 1,
        lambda a, y: entropy(a + y) + entropy(1 - a - y),
        lambda a, y: -y <= a <= 1 - y,
    ),
    "soft-margin": Loss(
        lambda z, y: softplus(-y * z),
        lambda y: abs(y) == 1,
        lambda a, y: entropy(-y * a) + entropy(1 + y * a),
        lambda a, y: 0 <= -y * a <= 1,
    ),
    "squared-hinge": Loss(
        lambda z, y: max(Fraction(0), 1 - y * z) ** 2,
        lambda y: abs(y) == 1,
        lambda a, y: a * a / 4 + a * y,
        lambda a, y: -y * a >= 0,
    ),
    "poisson": Loss(
        lambda z, y: ball(z).exp() - ball(y * z),
        lambda y: y >= 0,
        lambda a, y: entropy(a + y) - ball(a + y),
        lambda a, y: a + y >= 0,
    ),
}


def check_targets(name: str, targets: Matrix) -> None:
    """The targets are of the loss, hidden ones too."""
    if name == "cross-entropy":
        require(targets.shape[1] >= 2 and min(targets.ravel()) >= 0, "targets")
    else:
        require(all(map(LOSSES[name].allows, targets.ravel())), "targets")


def weighted(terms: Iterable[tuple[Fraction, Value]]) -> arb:
    """Σ ω times a value."""
    return sum((ball(weight) * ball(value) for weight, value in terms), arb(0))


def loss(name: str, outputs: Matrix, targets: Matrix, weights: Matrix) -> arb:
    """l(Z)."""
    afford(outputs.size * BALL_STEPS)
    if name == "cross-entropy":
        rows = zip(weights[:, 0], outputs, targets, strict=True)
        return weighted((weight, crossed(list(z), list(y))) for weight, z, y in rows)
    entries = zip(weights.ravel(), outputs.ravel(), targets.ravel(), strict=True)
    return weighted((weight, LOSSES[name].value(z, y)) for weight, z, y in entries if weight)


def crossed(z: list[Fraction], y: list[Fraction]) -> arb:
    """C log Σ e^z − Σ y z, moved by the largest z."""
    powers = sum((ball(entry - max(z)).exp() for entry in z), arb(0))
    return ball(total(y)) * powers.log() + weighted((one, max(z) - entry) for one, entry in zip(y, z, strict=True))


def conjugate(name: str, dual: Matrix, targets: Matrix, weights: Matrix) -> arb:
    """l*(D), after rule 19: D is 0 where ω is, and D/ω is in the domain elsewhere."""
    afford(dual.size * BALL_STEPS)
    scaled = dual / (weights + (weights == 0))
    if name == "cross-entropy":
        rows = zip(weights[:, 0], scaled, targets, strict=True)
        return weighted((weight, crossed_conjugate(list(a), list(y))) for weight, a, y in rows if weight)
    entries = [entry for entry in zip(weights.ravel(), scaled.ravel(), targets.ravel(), strict=True) if entry[0]]
    require(all(LOSSES[name].has(a, y) for _, a, y in entries), "dual-domain")
    return weighted((weight, LOSSES[name].conjugate(a, y)) for weight, a, y in entries)


def crossed_conjugate(a: list[Fraction], y: list[Fraction]) -> arb:
    """C Σ e((a + y)/C), in its domain; 0 where C is 0."""
    moved, mass = [one + target for one, target in zip(a, y, strict=True)], total(y)
    require(min(moved) >= 0 and total(a) == 0, "dual-domain")
    return weighted((mass, entropy(entry / mass)) for entry in moved) if mass else arb(0)
