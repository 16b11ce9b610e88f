"""What a bound can be expected to cost before there are data: in words, from the sizes of the model alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.bounds.methods import METHODS
from certify.bounds.rows.cones.cones import MAX_DIMENSION

# Cost by method, for n samples, d inputs (a hidden bias is one) and c outputs; as measured on two CPU cores.
COSTS = {
    "vacuous": "exact: one linear layer is a convex problem",
    "spectral": "exact; one singular value decomposition of d × c: seconds up to thousands",
    "quadratic-form": "exact for one output; eigenvalues of d × d matrices: seconds up to d in the hundreds",
    "sorting": "exact for one input with a free hidden bias; milliseconds",
    "sorted program": "chooses the dual point for one input with a free hidden bias: seconds",
    "norm-products": "loose; milliseconds",
    "scaled-norms": "exact where the rows of the inputs are orthogonal; milliseconds",
    "cones": "exact in the limit; grows 15 to 25 times with each input: seconds up to d = 6, minutes up to d = 9",
    "surrogate": "joint semidefinite program in d + 1: seconds to minutes up to n in the thousands, d in the tens",
    "first-order surrogate": "the same without a solver, for any n and several outputs: spends the time it is given",
}

# Methods for one output alone.
ONE_OUTPUT = ("scaled-norms", "surrogate")
# Methods for one input beside the hidden bias.
ONE_INPUT = ("sorting", "sorted program")


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


def expected_bounds(family: str, inputs: int, outputs: int) -> tuple[ExpectedBound, ...]:
    """The methods for a family, cheapest first.

    Args:
        family: name of the subnetwork kind.
        inputs: length d of the first factor, a hidden bias included.
        outputs: length c of the last factor.
    """
    names = dict.fromkeys(method.name for method in METHODS.get(family, ()))
    return tuple(ExpectedBound(name, _applies(name, inputs, outputs), COSTS.get(name, "")) for name in names)


def _applies(name: str, inputs: int, outputs: int) -> bool:
    largest = {"cones": MAX_DIMENSION} | dict.fromkeys(ONE_INPUT, 2)
    return inputs <= largest.get(name, inputs) and (name not in ONE_OUTPUT or outputs == 1)
