"""Kinds of subnetworks, one folder each; a kind joins by its line in `KINDS`, and can be made without arguments."""

from collections.abc import Mapping

from certify.problem.kinds.absolute import Absolute
from certify.problem.kinds.cp_factorization import CpFactorization, QuarticCpFactorization
from certify.problem.kinds.deep import Deep
from certify.problem.kinds.entry_product import EntryProduct
from certify.problem.kinds.factorization import Factorization
from certify.problem.kinds.kind import Factors, Kind, Operation
from certify.problem.kinds.leaky_relu import LeakyReLU
from certify.problem.kinds.linear import Linear
from certify.problem.kinds.quadratic import Quadratic
from certify.problem.kinds.rectifier import Rectifier
from certify.problem.kinds.relu import ReLU
from certify.problem.kinds.tied import Tied

KINDS: tuple[type[Kind], ...] = (Linear, ReLU, LeakyReLU, Absolute, Quadratic)
# Of factorizations, by the number of axes.
FACTORIZATIONS: Mapping[int, EntryProduct] = {
    2: Factorization(),
    3: CpFactorization(),
    4: QuarticCpFactorization(),
}


def kind_of(operations: tuple[Operation, ...]) -> Kind | None:
    """The kind that has these operations between its weight layers, None if there is none."""
    found = (kind.from_operations(operations) for kind in KINDS)
    return next((kind for kind in found if kind is not None), None)


__all__ = [
    "FACTORIZATIONS",
    "KINDS",
    "Absolute",
    "Deep",
    "EntryProduct",
    "Factors",
    "Kind",
    "LeakyReLU",
    "Linear",
    "Operation",
    "Quadratic",
    "ReLU",
    "Rectifier",
    "Tied",
    "kind_of",
]
