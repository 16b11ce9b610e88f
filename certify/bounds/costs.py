"""What a bound can be expected to cost before there are data: in words, from the sizes of the model alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.bounds.cones import MAX_DIMENSION
from certify.bounds.methods import METHODS

# Cost by method, for n samples, d inputs (a hidden bias is one) and c outputs; as measured on two CPU cores.
COSTS = {
    "spectral": "exact; one singular value decomposition of d × c: seconds up to thousands",
    "quadratic-form": "exact for one output; eigenvalues of d × d matrices: seconds up to d in the hundreds",
    "norm-products": "loose; milliseconds",
    "cones": "exact in the limit; grows 15 to 25 times with each input: seconds up to d = 6, minutes up to d = 9",
    "surrogate": "joint semidefinite program in d + 1: seconds to minutes up to n in the thousands, d in the tens",
    "first-order surrogate": "the same without a solver, for any n and several outputs: spends the time it is given",
}


@final
@dataclass(frozen=True, slots=True)
class ExpectedBound:
    """One method that serves a family.

    Attributes:
        method: its name.
        applies: False where the sizes already rule it out.
        cost: what it costs, in words; empty if not known.
    """

    method: str
    applies: bool
    cost: str


def expected_bounds(family: str, inputs: int) -> tuple[ExpectedBound, ...]:
    """The methods for a family, cheapest first.

    Args:
        family: name of the subnetwork kind.
        inputs: length of the first factor, a hidden bias included.
    """
    return tuple(
        ExpectedBound(method.name, method.name != "cones" or inputs <= MAX_DIMENSION, COSTS.get(method.name, ""))
        for method in METHODS.get(family, ())
    )
