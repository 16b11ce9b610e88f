"""What a bound can be expected to cost before there are data: in words, from the sizes of the model alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.bounds.methods import METHODS, Method
from certify.problem import PolarForm


@final
@dataclass(frozen=True, slots=True)
class ExpectedBound:
    """One method that serves a form of polar.

    Attributes:
        families: of the subnetworks whose polars it bounds.
        sizes: length h of their first factor, a hidden bias included, and length m of the last.
        method: its name.
        applies: False where the sizes, or other branches, already rule it out.
        cost: what it costs, in words, or why it does not apply.
    """

    families: tuple[str, ...]
    sizes: tuple[int, int]
    method: str
    applies: bool
    cost: str


def expected_bounds(
    form: type[PolarForm], families: tuple[str, ...], sizes: tuple[int, int], *, alone: bool
) -> tuple[ExpectedBound, ...]:
    """The methods for a form, cheapest first.

    Args:
        form: its class.
        families: of the subnetworks that have it.
        sizes: h and m, as in `ExpectedBound`.
        alone: whether there are no other branches.
    """
    methods = {method.name: method for method in METHODS[form]}
    judged = {name: (method.cost, _obstacle(method, sizes, alone=alone)) for name, method in methods.items()}
    return tuple(
        ExpectedBound(families, sizes, name, obstacle is None, obstacle or cost)
        for name, (cost, obstacle) in judged.items()
    )


def _obstacle(method: Method, sizes: tuple[int, int], *, alone: bool) -> str | None:
    if not method.fits(*sizes):
        return "not for so many inputs or outputs"
    return "not beside other branches" if method.moves_dual and not alone else None
