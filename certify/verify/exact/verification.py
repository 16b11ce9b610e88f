"""`certify verify --exact`: every rule decided by ball arithmetic, at more precision where balls cannot decide.

Balls (Johansson 2017, Arb) enclose the exact real result of every operation, so neither the accuracy of exp and log
nor a bound on rounding errors is assumed. What is assumed instead: FLINT.
"""

from __future__ import annotations

from flint import ctx

from certify.verify.exact.balls import Balls
from certify.verify.exact.cone_tree import cone_tree_upper
from certify.verify.exact.dual_point import change_to_kernel
from certify.verify.exact.semidefinite import proves_semidefinite
from certify.verify.reals import Arithmetic
from certify.verify.verdict import Verdict, verify_bytes

EXACT = Arithmetic("exact", Balls.of, proves_semidefinite, cone_tree_upper, change_to_kernel)
# Bits tried in turn; a rule that fails at the last is not shown to hold.
PRECISIONS = (128, 512, 2048)
# Rules that compare real numbers, so that more bits may decide them.
COMPARISONS = ("free-skip-rank", "dual-domain", "polar", "polar-scale", "objective", "dual-value")


def verify_bytes_exactly(data: bytes, model: bytes | None = None, files: tuple[bytes, ...] = ()) -> Verdict:
    """Check a certificate; like `verify_bytes`, in exact arithmetic."""
    for bits in PRECISIONS:
        with ctx.workprec(bits):
            verdict = verify_bytes(data, model, files, EXACT)
        if verdict.status != "invalid" or verdict.rule not in COMPARISONS:
            break
    return verdict
