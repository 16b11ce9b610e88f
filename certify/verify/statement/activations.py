"""What lies between the two weights of a subnetwork: σ with one kink at 0, or a square; one table of names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from certify.verify.reals import Reals
from certify.verify.statement.fields import number, section


@final
@dataclass(frozen=True, slots=True)
class Kink:
    """σ(t) = above max(t, 0) + below min(t, 0), of degree 1.

    Attributes:
        above: slope for t > 0.
        below: slope for t < 0.
    """

    above: float
    below: float

    @property
    def steepest(self) -> float:
        """Lipschitz constant, and the largest |σ(t)| / |t|."""
        return max(abs(self.above), abs(self.below))

    @property
    def is_linear(self) -> bool:
        """Whether there is no kink."""
        return self.above == self.below

    def gap(self, values: Reals) -> Reals:
        """(above − below) times the values; σ(t) = (above − below) max(t, 0) + below t."""
        if self.above == 1.0 and self.below == 0.0:
            return values
        return values * (values.of(self.above) - values.of(self.below))

    def __call__(self, values: Reals) -> Reals:
        """σ of every entry."""
        if self.above == self.below == 1.0:
            return values
        found = values.maximum(0.0)
        found = found if self.above == 1.0 else found * self.above
        return found if self.below == 0.0 else found - (-values).maximum(0.0) * self.below


@final
@dataclass(frozen=True, slots=True)
class Square:
    """t², of degree 2."""

    def __call__(self, values: Reals) -> Reals:
        """The square of every entry."""
        return values * values


Activation: TypeAlias = Kink | Square
IDENTITY = Kink(1.0, 1.0)
# Name of the layer, its keys beside `op`, and what it computes.
ACTIVATIONS: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], Activation]]] = {
    "relu": ((), lambda _: Kink(1.0, 0.0)),
    "leaky_relu": (("slope",), lambda layer: Kink(1.0, number(layer["slope"], "leaky_relu.slope"))),
    "abs": ((), lambda _: Kink(1.0, -1.0)),
    "square": ((), lambda _: Square()),
}


def read_activation(layer: Mapping[str, Any]) -> Activation:
    """The activation of a layer whose `op` is in the table.

    Raises:
        Rejection: refused; other keys, or no number.
    """
    keys, made = ACTIVATIONS[layer["op"]]
    return made(section(layer, str(layer["op"]), ("op", *keys)))
