"""The arithmetic of the checker: binary64, with rounding counted."""

from __future__ import annotations

from certify.verify.enclosure import Enclosure
from certify.verify.proofs.cone_tree import cone_tree_upper
from certify.verify.reals import Arithmetic
from certify.verify.semidefinite import proves_semidefinite
from certify.verify.statement.dual_point import change_to_kernel

FLOATING_POINT = Arithmetic("floating-point", Enclosure, proves_semidefinite, cone_tree_upper, change_to_kernel)
