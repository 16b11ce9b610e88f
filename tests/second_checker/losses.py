"""Rule 16: losses, their targets, conjugates and domains. Logarithms are balls; all else is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, ctx, fmpq

from .exact import Matrix, total
from .rejection import afford, require

BITS = 800
BALL_STEPS = 200


@dataclass(frozen=True)
class Real:
    """A fraction and a ball, added."""

    exact: Fraction
    ball: arb

    def __sub__(self, other: Real) -> Real:
        with ctx.workprec(BITS):
            return Real(self.exact - other.exact, self.ball - other.ball)

    def __neg__(self) -> Real:
        return Real(-self.exact, -self.ball)

    def plus(self, exact: Fraction) -> Real:
        return Real(self.exact + exact, self.ball)

    def is_positive(self) -> bool:
        """Surely."""
        with ctx.workprec(BITS):
            return self.exact > 0 if self.ball == 0 else bool(ball_of(self.exact) + self.ball > 0)

    def is_at_most(self, bound: Fraction) -> bool:
        """Surely."""
        with ctx.workprec(BITS):
            exact = self.exact - bound
            return exact <= 0 if self.ball == 0 else bool(ball_of(exact) + self.ball <= 0)


def ball_of(value: Fraction) -> arb:
    """Encloses a fraction."""
    return arb(fmpq(value.numerator, value.denominator))


def softplus(value: Fraction) -> arb:
    """log(1 + e^z)."""
    ball = ball_of(value)
    return ball + (-ball).exp().log1p() if value > 0 else ball.exp().log1p()


def entropy(value: Fraction) -> arb:
    """e(t) = t log t."""
    return ball_of(value) * ball_of(value).log() if value else arb(0)


Value = Fraction | arb
Entry = Callable[[Fraction, Fraction], Value]
Test = Callable[[Fraction, Fraction], bool]


def huber(z: Fraction, y: Fraction) -> Fraction:
    distance = abs(z - y)
    return distance**2 / 2 if distance <= 1 else distance - Fraction(1, 2)


@dataclass(frozen=True)
class Loss:
    """Of one entry: l0(z, y), the targets, l0*(a, y) and its domain."""

    value: Entry
    allows: Callable[[Fraction], bool]
    conjugate: Entry
    has: Test


def is_sign(y: Fraction) -> bool:
    return abs(y) == 1


ENTRYWISE = {
    "mse": Loss(
        lambda z, y: (z - y) ** 2,
        lambda y: True,
        lambda a, y: a * a / 4 + a * y,
        lambda a, y: True,
    ),
    "huber": Loss(
        huber,
        lambda y: True,
        lambda a, y: a * a / 2 + a * y,
        lambda a, y: abs(a) <= 1,
    ),
    "binary-cross-entropy": Loss(
        lambda z, y: softplus(z) - ball_of(y * z),
        lambda y: 0 <= y <= 1,
        lambda a, y: entropy(a + y) + entropy(1 - a - y),
        lambda a, y: -y <= a <= 1 - y,
    ),
    "soft-margin": Loss(
        lambda z, y: softplus(-y * z),
        is_sign,
        lambda a, y: entropy(-y * a) + entropy(1 + y * a),
        lambda a, y: 0 <= -y * a <= 1,
    ),
    "squared-hinge": Loss(
        lambda z, y: max(Fraction(0), 1 - y * z) ** 2,
        is_sign,
        lambda a, y: a * a / 4 + a * y,
        lambda a, y: -y * a >= 0,
    ),
    "poisson": Loss(
        lambda z, y: ball_of(z).exp() - ball_of(y * z),
        lambda y: y >= 0,
        lambda a, y: entropy(a + y) - ball_of(a + y),
        lambda a, y: a + y >= 0,
    ),
}


def weighted(terms: list[tuple[Fraction, Value]]) -> Real:
    """Σ ω times a value."""
    exact = total(weight * value for weight, value in terms if isinstance(value, Fraction))
    balls = [ball_of(weight) * value for weight, value in terms if not isinstance(value, Fraction)]
    return Real(exact, sum(balls, arb(0)))


def check_targets(name: str, targets: Matrix) -> None:
    """The targets are of the loss, hidden ones too."""
    if name == "cross-entropy":
        require(targets.shape[1] >= 2 and min(targets.ravel()) >= 0, "targets")
    else:
        require(all(map(ENTRYWISE[name].allows, targets.ravel())), "targets")


def loss(name: str, outputs: Matrix, targets: Matrix, weights: Matrix) -> Real:
    """l(Z)."""
    afford(outputs.size * BALL_STEPS)
    with ctx.workprec(BITS):
        if name == "cross-entropy":
            rows = zip(weights[:, 0], outputs, targets, strict=True)
            return weighted([(weight, crossed(list(z), list(y))) for weight, z, y in rows if weight])
        value = ENTRYWISE[name].value
        entries = zip(weights.ravel(), outputs.ravel(), targets.ravel(), strict=True)
        return weighted([(weight, value(z, y)) for weight, z, y in entries if weight])


def crossed(z: list[Fraction], y: list[Fraction]) -> arb:
    """C log Σ e^z − Σ y z, moved by the largest z."""
    top = max(z)
    powers = sum((ball_of(entry - top).exp() for entry in z), arb(0))
    exact = total(target * (top - entry) for entry, target in zip(z, y, strict=True))
    return ball_of(sum(y, Fraction(0))) * powers.log() + ball_of(exact)


def conjugate(name: str, dual: Matrix, targets: Matrix, weights: Matrix) -> Real:
    """l*(D), after rule 19: D/ω is in the domain where ω is not 0."""
    afford(dual.size * BALL_STEPS)
    with ctx.workprec(BITS):
        if name == "cross-entropy":
            rows = zip(weights[:, 0], dual, targets, strict=True)
            return weighted([(weight, crossed_conjugate(list(a / weight), list(y))) for weight, a, y in rows if weight])
        kind = ENTRYWISE[name]
        entries = zip(weights.ravel(), dual.ravel(), targets.ravel(), strict=True)
        scaled = [(weight, a / weight, y) for weight, a, y in entries if weight]
        require(all(kind.has(a, y) for _, a, y in scaled), "dual-domain")
        return weighted([(weight, kind.conjugate(a, y)) for weight, a, y in scaled])


def crossed_conjugate(a: list[Fraction], y: list[Fraction]) -> arb:
    """C Σ e((a + y)/C), in its domain; 0 where C is 0."""
    moved = [one + target for one, target in zip(a, y, strict=True)]
    require(min(moved) >= 0 and total(a) == 0, "dual-domain")
    mass = total(y)
    return ball_of(mass) * sum((entropy(entry / mass) for entry in moved), arb(0)) if mass else arb(0)
