"""What a bound can be expected to cost before there are data: in words, from the sizes of the model alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.bounds.methods import METHODS
from certify.problem import PolarForm


@final
@dataclass(frozen=True, slots=True)
class ExpectedBound:
    """One method that serves a form of polar.

    Attributes:
        method: its name.
        applies: False where the sizes already rule it out.
        cost: what it costs, in words.
    """

    method: str
    applies: bool
    cost: str


def expected_bounds(form: type[PolarForm], columns: int, scores: int) -> tuple[ExpectedBound, ...]:
    """The methods for a form, cheapest first.

    Args:
        form: its class.
        columns: length h of the first factor, a hidden bias included.
        scores: length m of the last factor.
    """
    methods = {method.name: method for method in METHODS[form]}
    return tuple(ExpectedBound(method.name, method.fits(columns, scores), method.cost) for method in methods.values())
