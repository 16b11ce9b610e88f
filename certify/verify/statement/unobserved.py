"""Entries of a matrix that are no samples, with target 0 and one weight κ: each adds κ z² (Hu, Koren, Volinsky 2008).

For Z = Σ_i u_i v_iᵀ their sum is κ (|Z|² − Σ_e z_e²), e over the samples, |Z|² = Σ_ij (u_i·u_j)(v_i·v_j). The dual
point there is D = s B, B = Σ_k l_k r_kᵀ of two arrays of a certificate, and costs |D|²/(4κ).
"""

from __future__ import annotations

from collections.abc import Sequence

from certify.verify.reals import Array, Real, Reals
from certify.verify.rejection import require
from certify.verify.statement.certificate import Certificate
from certify.verify.statement.entry_penalties import EntryFactorNorms, EntryPenalty
from certify.verify.statement.problem import Problem


def require_plain(problem: Problem) -> None:
    """Where unobserved entries count, the problem is of squares of two factors alone, and κ > 0.

    Raises:
        Rejection: not so.
    """
    loss, term = problem.loss, problem.entries
    if loss.unobserved is None:
        return
    require(loss.unobserved > 0, "unobserved", f"the weight {loss.unobserved!r} must be positive")
    squares = (loss.name, loss.reduction) == ("mse", "sum")
    require(squares, "unobserved", f"unobserved entries beside {loss.name} ({loss.reduction})")
    plain = term is not None and len(term.shape) == 2 and term.scale == 1 and not problem.outside
    counted = any(isinstance(branch.penalty, EntryPenalty) and branch.penalty.counted for branch in problem.branches)
    round_ = not any(isinstance(branch.penalty, EntryFactorNorms) for branch in problem.branches)
    fits = plain and round_ and not counted and problem.offset is None
    require(fits, "unobserved", "unobserved entries of something else than two factors alone")


def dual_factors(certificate: Certificate) -> list[Array] | None:
    """The arrays that make B, None where it is 0 or nothing unobserved counts."""
    if certificate.problem.loss.unobserved is None:
        return None
    factors = [certificate.arrays["A.0"], certificate.arrays["A.1"]]
    return factors if all(factor.any() for factor in factors) else None


def unobserved_loss(certificate: Certificate, outputs: Reals, real: Real) -> Reals:
    """κ times the squares of all unobserved entries, from outputs (N, 1)."""
    weight = certificate.problem.loss.unobserved
    if weight is None:
        return real(0.0)
    factors = [certificate.arrays[f"F0.{axis}"] for axis in range(2)]
    return _outside(factors, outputs, real) * real(certificate.problem.loss.scale) * weight


def unobserved_cost(certificate: Certificate, scale: float, real: Real) -> Reals:
    """What the dual point D = s B there costs the dual value."""
    term, weight, factors = certificate.problem.entries, certificate.problem.loss.unobserved, dual_factors(certificate)
    if term is None or weight is None or factors is None:
        return real(0.0)
    squares = _outside(factors, term.outputs(factors, certificate.arrays["X"], real), real)
    return squares * scale * scale / (real(certificate.problem.loss.scale) * weight * 4.0)


def _outside(factors: Sequence[Array], values: Reals, real: Real) -> Reals:
    """Sum of the squares of a product of factors (r, m), (r, n) but for its values (N, 1) at the samples."""
    inside = -(values * values).sum()
    if not len(factors[0]):
        return inside
    left, right = (real(factor) @ factor.T for factor in factors)
    return (left * right).sum() + inside
