"""The dual point under a free linear part XC: A' nearest to A with EᵀA' = 0, which binary64 cannot hold.

E is X, with a column of ones where a bias is free. Output j changes over the samples I_j where A_ij ≠ 0 alone,
    A'_j = A_j − E (EᵀE)⁻¹ EᵀA_j   on I_j, and 0 elsewhere,
so that EᵀA' = 0 exactly. Where the loss couples the outputs, I_j are the rows of A that are not zero, the same for
every j; then rows of A' sum to zero as those of A do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from certify.verify.enclosure import Enclosure
from certify.verify.reals import Arithmetic, Array, Mask, Reals
from certify.verify.rejection import require
from certify.verify.semidefinite import proves_semidefinite
from certify.verify.statement.certificate import Certificate
from certify.verify.statement.losses import BoundLoss

# Shares of a guess at the least eigenvalue that are tried in turn.
EIGENVALUE_SHARES = (0.9, 0.5, 0.1)


@final
@dataclass(frozen=True, slots=True)
class DualPoint:
    """A', (n, c), of which the proof speaks up to the factor s, and A' − A, 0 unless a part of the inputs is free."""

    values: Reals
    change: Reals


def dual_point(certificate: Certificate, loss: BoundLoss, arithmetic: Arithmetic) -> DualPoint:
    """The dual point of a certificate.

    Raises:
        Rejection: a linear part of the inputs is free, and the columns of E are not shown to be independent.
    """
    dual: Array = certificate.arrays["A"]
    values, unchanged = arithmetic.real(dual), arithmetic.real(np.zeros_like(dual))
    if not certificate.problem.frees_inputs:
        return DualPoint(values, unchanged)
    features: Array = certificate.arrays["X"]
    if certificate.problem.frees_constants:
        features = np.concatenate([features, np.ones((len(features), 1))], 1)
    moves: Mask = dual != 0
    if loss.kind.couples:
        moves = np.broadcast_to(moves.any(1, keepdims=True), moves.shape)
    patterns, which = np.unique(moves, axis=1, return_inverse=True)
    parts, order = [], []
    for index, rows in enumerate(patterns.T):
        columns = np.flatnonzero(which.ravel() == index)
        moved = arithmetic.change_to_kernel(_scaled(features[rows]), dual[rows][:, columns])
        # Rows that do not move take the row of zeros put before the others.
        places = np.where(rows, np.cumsum(rows), 0)
        parts.append(unchanged.joined([unchanged[:1, columns], moved], 0)[places])
        order.append(columns)
    change = unchanged.joined(parts, 1)[:, np.argsort(np.concatenate(order))]
    return DualPoint(values + change, change)


def _scaled(features: Array) -> Array:
    """Columns that are not zero, each divided by a power of two where that is exact; of the same span."""
    features = features[:, features.any(0)]
    units = np.ldexp(1.0, np.frexp(np.abs(features).max(0, initial=0.0))[1])
    scaled: Array = features / units
    return scaled if bool((scaled * units == features).all()) else features


def change_to_kernel(features: Array, dual: Array) -> Reals:
    """Enclosure of −E (EᵀE)⁻¹ EᵀA for E (m, k) and A (m, q): entries are at most |e_i| |EᵀA_j| / t for EᵀE ⪰ t I.

    Raises:
        Rejection: no t > 0 is shown.
    """
    blank = np.zeros_like(dual)
    if features.size == 0:
        return Enclosure(blank)
    gram = Enclosure(features.T) @ features
    guess = float(np.linalg.eigvalsh(gram.mid)[0])
    identity: Array = np.eye(features.shape[1])
    levels = (share * guess for share in EIGENVALUE_SHARES)
    level = next((t for t in levels if t > 0 and proves_semidefinite(gram - Enclosure(t) * identity)), 0.0)
    require_independent(level > 0)
    moments = Enclosure(features.T) @ dual
    bounds = Enclosure(features).row_norms()[:, None] * moments.T.row_norms() / level
    return Enclosure(blank, bounds.high)


def require_independent(shown: bool) -> None:
    """The columns of E are linearly independent over the samples that move.

    Raises:
        Rejection: not shown.
    """
    require(shown, "free-skip-rank", "the columns of [X, 1] are not shown to be independent where A is not zero")
