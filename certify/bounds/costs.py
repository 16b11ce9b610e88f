"""What a bound can be expected to cost before there are data: in words, from the sizes of the model alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.bounds.methods import METHODS, Method
from certify.problem import PolarForm

# By method, for n samples, h columns of the rows (a hidden bias is one) and m score columns; as measured on two CPU
# cores.
COSTS = {
    "spectral": "exact; one singular value decomposition of h × m: seconds up to thousands",
    "quadratic-form": "exact for one score column; eigenvalues of h × h matrices: seconds up to h in the hundreds",
    "eigenvalue": "exact; eigenvalues of an h × h matrix: seconds up to h in the thousands",
    "sorting": "exact for one input with a free hidden bias; milliseconds",
    "sorted program": "chooses the dual point for one input with a free hidden bias: seconds",
    "norm-products": "loose; milliseconds",
    "scaled-norms": "exact where the rows are orthogonal; milliseconds",
    "signs": "exact for up to 48 samples and any h: seconds up to n = 20, and up to n = 40 for h = 4",
    "surrogate": "chooses the dual point for one output: seconds, minutes for n h in the tens of millions",
    "hubs": "the same, tighter, where products of all rows do not fit: many minutes for n in the thousands",
    "doubly nonnegative": "joint relaxation over products of rows: seconds to minutes for n up to about 2,000",
    "unfolding": "loose beyond two axes; one Cholesky factorization for each way to fold a tensor into a matrix",
    "symmetric program": "exact where an axis has extent 2, for small tensors; milliseconds to seconds",
    "symmetric unfolding": "chooses the dual point for a tensor: seconds up to 30 × 30 × 30, minutes beyond",
    "spectral of layers": "exact where no layer has an activation; seconds",
    "joint peeling": "chooses the dual point for three weights and more: seconds to minutes up to h = 12",
    "peeling": "the same at a given dual point",
    "cones": "exact in the limit; grows 15 to 25 times with each input: seconds up to h = 6, minutes up to h = 9",
    "first-order surrogate": "the same for several score columns: spends the time it is given",
    "first-order majorant": "the same at a given dual point, for one of several branches",
}


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
    """The methods for a form under weight decay, cheapest first.

    Args:
        form: its class.
        families: of the subnetworks that have it.
        sizes: h and m, as in `ExpectedBound`.
        alone: whether there are no other branches.
    """
    methods = (method for method in METHODS[form] if not method.for_factor_norms)
    judged = {method.name: _obstacle(method, sizes, alone=alone) for method in methods}
    return tuple(
        ExpectedBound(families, sizes, name, obstacle is None, obstacle or COSTS[name])
        for name, obstacle in judged.items()
    )


def _obstacle(method: Method, sizes: tuple[int, int], *, alone: bool) -> str | None:
    if any(size > most for size, most in zip(sizes, method.most_sizes, strict=True)):
        return "not for so many inputs or outputs"
    return "not beside other branches" if method.moves_dual and not alone else None
