"""Coordinates of the lifted vector y = (v, u, z₊, z₋), z± = max(±X u, 0), on the subspace z₊ − z₋ = X u.

With z scaled by a unit c, H = (I + c² XᵀX/2)^(−1/2), F = c X H/2 and r = 1/√2,

    v = a,   u = H b,   c z₊ = F b + r g,   c z₋ = −F b + r g

is an orthonormal basis: y = V (a, b, g) with VᵀV = I (facial reduction, Oliveira, Wolkowicz and Xu 2018).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

HALF_ROOT = math.sqrt(0.5)
# How many rows of ones c X is like in norm, by which steps of the splitting are slow or fast.
UNIT = 3.0


@final
@dataclass(frozen=True, slots=True)
class Symmetric:
    """A symmetric matrix over y by its blocks.

    Attributes:
        core: of (v, u), (p, p).
        rim: of z₊ and of z₋ with (v, u), (2, N, p).
        both: of z₊ with z₊, (N, N).
        cross: of z₊ with z₋, (N, N), not symmetric.
        none: of z₋ with z₋, (N, N).
    """

    core: Tensor
    rim: Tensor
    both: Tensor
    cross: Tensor
    none: Tensor


@final
@dataclass(frozen=True, slots=True)
class Lift:
    """The basis V for rows X (N, D) and m entries of v.

    Attributes:
        outputs: m.
        unit: c.
        root: H, (D, D).
        features: F, (N, D).
    """

    outputs: int
    unit: float
    root: Tensor
    features: Tensor

    @property
    def size(self) -> int:
        """Number of reduced coordinates, m + D + N."""
        return self.outputs + len(self.root) + len(self.features)

    def to(self, precision: torch.dtype) -> Lift:
        """The basis in another precision."""
        return replace(self, root=self.root.to(precision), features=self.features.to(precision))

    def compressed(self, matrix: Symmetric) -> Tensor:
        """VᵀMV, (size, size)."""
        m, p, root, features = self.outputs, self.outputs + len(self.root), self.root, self.features
        sums = matrix.both + matrix.none
        twist = matrix.cross + matrix.cross.T
        result = matrix.core.new_empty(self.size, self.size)
        torch.add(sums, twist, out=sums).mul_(0.5)
        result[p:, p:] = sums
        # Both − cross − crossᵀ + none = 2 (sums − twist) after the addition above.
        spread = features.T @ ((sums - twist) @ features) * 2
        skew = (matrix.both - matrix.none) + (matrix.cross - matrix.cross.T)
        above, below = matrix.rim[0], matrix.rim[1]
        total, difference = HALF_ROOT * (above + below), above - below
        result[m:p, p:] = HALF_ROOT * (features.T @ skew) + root @ total[:, m:].T
        result[:m, p:] = total[:, :m].T
        half = root @ (difference[:, m:].T @ features)
        result[m:p, m:p] = root @ matrix.core[m:, m:] @ root + half + half.T + spread
        result[:m, :m] = matrix.core[:m, :m]
        result[:m, m:p] = matrix.core[:m, m:] @ root + difference[:, :m].T @ features
        result[m:p, :m] = result[:m, m:p].T
        result[p:, :p] = result[:p, p:].T
        return result

    def expanded(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(v, u) (p, k), c z₊ and c z₋ (N, k) of reduced vectors (size, k)."""
        m, p = self.outputs, self.outputs + len(self.root)
        core = torch.cat([vectors[:m], self.root @ vectors[m:p]])
        odd, even = self.features @ vectors[m:p], HALF_ROOT * vectors[p:]
        return core, even + odd, even - odd

    def responses(self, rows: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled c z₊ and c z₋ (N, r) of u (r, D) over the rows X (N, D)."""
        values = self.unit * rows @ hidden.T
        return values.clamp_min(0), (-values).clamp_min(0)


def unit_of(rows: Tensor) -> float:
    """The c that makes c X like UNIT rows of ones, in norm."""
    return UNIT * math.sqrt(rows.shape[1]) / max(float(torch.linalg.matrix_norm(rows)), 1e-140)


def lift_of(rows: Tensor, outputs: int) -> Lift:
    """The basis for rows X (N, D)."""
    unit = unit_of(rows)
    gram = torch.eye(rows.shape[1]).to(rows) + unit**2 / 2 * (rows.T @ rows)
    values, vectors = torch.linalg.eigh(gram)
    root = (vectors / values.sqrt()) @ vectors.T
    return Lift(outputs, unit, root, unit / 2 * rows @ root)
