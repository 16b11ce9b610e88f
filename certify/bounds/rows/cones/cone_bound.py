"""Upper bound of |Q^T s(X u)| over a batch of simplicial cones intersected with the unit ball.

s(t) = p max(t, 0) + m min(t, 0), so that Q s(t) = R relu(t) + L t with R = (p - m) Q and L = m Q. On cone(v_1..v_d),
u = sum_k a_k v_k with a >= 0. A row's relu is convex, so it lies below its interpolation sum_k a_k relu(x_i v_k) and
above its tangent b_i x_i u for any b_i in [0, 1]. Interpolating where R_i > 0 and taking tangents where R_i < 0, beside
the linear part, which is exact, gives numbers val_k with |Q^T s(X u)| <= sum_k a_k val_k, and any w with
w . v_k >= val_k for all k proves the bound |w|. The w used here is the approximate dual solution of that
least-norm problem, scaled up to feasibility, so a poor solution costs tightness and never truth.
Diagonals D_b >= 0 (b, n) ask for |Q^T s(X u)| + sum_b |sqrt(D_b) o s(X u)| instead. Each |s(x_i u)| is convex, so the
norms are interpolated as they stand: val_k grows by sum_b (sum_i D_bi s(x_i v_k)^2)^(1/2), the error of which is
relative but for that of x_i v_k.
Rounding: sums of n terms have forward error gamma_n (Higham 2002, chapters 3-4).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from certify.problem import Slopes
from certify.problem.rounding import UNIT_ROUNDOFF

# Tangent weights are stored as whole numbers from 0 to this.
TANGENT_LEVELS = 255
# Entries of the largest intermediate matrix (rows times cones).
COLUMNS_PER_PRODUCT = 1 << 19


@dataclass(frozen=True, slots=True)
class Majorant:
    """What the bound needs of (X, Q): interpolated sums, tangent maps and the rounding of both.

    Attributes:
        rows: X, shape (n, d).
        weights: max(R, 0)^T stacked on max(-R, 0)^T, shape (2c, n).
        slants: sum_i L_i x_i over the rows of positive R, and its negative over those of negative R, shape (2c, d);
            with these, both halves of the interpolation sums and of the tangents are of the whole s.
        tangent_rows: Rows that ever need a tangent, shape (t, d).
        tangent_maps: |R_i| x_i of those rows, per side and coordinate, shape (sides * d, t); one side (negative
            rows) for a signed scalar, 2c sides in the order of `weights` for several outputs.
        error: Absolute bound on the rounding of every val_k at a generator of |v|_1 <= 1.
        trivial: Bound on the polar valid on any cone.
        free_axis: Coordinate outside the norm, or None.
        slopes: Of s.
        diagonals: D, shape (b, n).
    """

    rows: Tensor
    weights: Tensor
    slants: Tensor
    tangent_rows: Tensor
    tangent_maps: Tensor
    error: float
    trivial: float
    free_axis: int | None
    slopes: Slopes
    diagonals: Tensor

    @property
    def scalar(self) -> bool:
        """Whether this is the signed scalar polar max q^T s(X u)."""
        return self.weights.shape[0] == 2 and not len(self.diagonals)


def build_majorant(
    rows: Tensor, Q: Tensor, free_axis: int | None, slopes: Slopes, diagonals: Tensor | None = None
) -> Majorant:
    """Prepare the bound for one X (n, d), Q (n, c) and D (b, n), all scaled so that their entries are at most 1.

    With c = 1 and no diagonals the bound is on max q^T s(X u), one sign only.
    """
    n, d = rows.shape
    c = Q.shape[1]
    diagonals = rows.new_zeros(0, n) if diagonals is None else diagonals
    signed = c == 1 and not len(diagonals)
    bent = slopes.bend * Q
    weights = torch.cat([bent.clamp(min=0), (-bent).clamp(min=0)], dim=1).T.contiguous()
    slants = slopes.negative * torch.cat([Q * (bent > 0), -Q * (bent <= 0)], dim=1).T @ rows
    used = weights[1] > 0 if signed else torch.ones(n, dtype=torch.bool, device=rows.device)
    tangent_rows = rows[used].contiguous()
    sides = weights[1:, used] if signed else weights
    maps = (sides[:, None, :] * tangent_rows.T[None]).reshape(sides.shape[0] * d, tangent_rows.shape[0])
    magnitude = float(Q.norm(dim=1) @ rows.abs().amax(dim=1)) if n else 0.0
    magnitude *= abs(slopes.bend) + abs(slopes.negative)
    magnitude += slopes.steepest * _length(diagonals, rows.abs().amax(dim=1)) if n else 0.0
    terms = 4 * (n + d + c + len(diagonals)) + 40
    # Squares of the norms may underflow.
    least = 2.0**-500 if len(diagonals) else 2.0**-900
    error = 8 * terms * UNIT_ROUNDOFF * magnitude * (1 + 1e-9) + (least if magnitude > 0 else 0.0)
    lengths = penalized(rows.T, free_axis).norm(dim=0)
    size = float(Q.norm(dim=1) @ lengths) + _length(diagonals, lengths)
    trivial = slopes.steepest * size * (1 + terms * UNIT_ROUNDOFF) + error
    maps = maps.contiguous()
    return Majorant(rows, weights, slants, tangent_rows, maps, error, trivial, free_axis, slopes, diagonals)


def _length(diagonals: Tensor, sizes: Tensor) -> float:
    """Sum of the norms of sizes (n,) in the diagonals (b, n)."""
    return float((diagonals @ sizes**2).sqrt().sum())


def interpolation_sums(majorant: Majorant, points: Tensor) -> Tensor:
    """Return sum_i weights_i relu(x_i . point) + slants . point, at points of shape (d, B).

    Shape (2c + b, B); the last rows are the norms in the diagonals.
    """
    parts, norms = [], []
    for products in _products(majorant.rows, points):
        if len(majorant.diagonals):
            norms.append((majorant.diagonals @ majorant.slopes.of(products).square_()).sqrt_())
        parts.append(majorant.weights @ products.relu_())
    sums = torch.cat(parts, dim=1).addmm_(majorant.slants, points)
    return torch.cat([sums, torch.cat(norms, dim=1)]) if norms else sums


def _products(rows: Tensor, points: Tensor) -> Iterator[Tensor]:
    """Products of rows (t, d) with points (d, B) in pieces of bounded size, (t, b) each."""
    step = max(1, COLUMNS_PER_PRODUCT // max(1, rows.shape[0]))
    return (rows @ part for part in torch.split(points, step, dim=1))


def values_at(majorant: Majorant, sums: Tensor) -> Tensor:
    """Return |Q^T s(X u)| with the norms in the diagonals, shape (B,), from the interpolation sums at u."""
    c = majorant.weights.shape[0] // 2
    values: Tensor = (sums[:c] - sums[c : 2 * c]).norm(dim=0) + sums[2 * c :].sum(0)
    return values


def penalized(points: Tensor, free_axis: int | None) -> Tensor:
    """Return the directions, one per column, shape (d, B), with 0 on the free axis."""
    if free_axis is None:
        return points
    return points.index_fill(0, torch.tensor(free_axis, device=points.device), 0.0)


def quantized_tangents(coefficients: Tensor, vertices: Tensor, free_axis: int | None) -> Tensor:
    """Round a mixture of the cone's center and sum_k a_k v_k to weights 0 to TANGENT_LEVELS, as floats, shape (d, B).

    A cone with a generator on the free axis takes that generator alone: only then does the bound vanish on it.

    Args:
        coefficients: Nonnegative a, shape (d, B).
        vertices: Generators (k, coordinate, cone), shape (d, d, B).
        free_axis: Coordinate outside the norm, or None.
    """
    total = coefficients.sum(0)
    share = torch.where(total > 0, coefficients / total.clamp(min=1e-300), 0.0) + 1.0 / coefficients.shape[0]
    weights = (share * (TANGENT_LEVELS / share.amax(0))).round_()
    if free_axis is None:
        return weights
    on_axis = _on_axis(vertices, free_axis)
    return torch.where(on_axis.any(0), on_axis * float(TANGENT_LEVELS), weights)


def majorant_values(majorant: Majorant, vertices: Tensor, sums: Tensor, tangents: Tensor) -> Tensor:
    """Return val_k with |Q^T s(X u)| <= sum_k a_k val_k on each cone, rounding included; shape (d, B).

    Args:
        majorant: The bound.
        vertices: Generators (k, coordinate, cone), |v|_1 <= 1, shape (d, d, B).
        sums: Interpolation sums at the generators, shape (2c + b, d, B).
        tangents: Tangent weights, shape (d, B).
    """
    direction = (vertices * tangents[:, None]).sum(0)
    slopes = _tangent_slopes(majorant, direction)
    linear = torch.stack([(vertices * slope).sum(1) for slope in slopes])
    if majorant.scalar:
        values = sums[0] - linear[0]
    else:
        c = majorant.weights.shape[0] // 2
        above, below = sums[:c] - linear[c:], linear[:c] - sums[c : 2 * c]
        values = (0.5 * (above + below)).norm(dim=0) + (0.5 * (above - below)).norm(dim=0) + sums[2 * c :].sum(0)
    values = values + majorant.error
    if majorant.free_axis is None:
        return values
    return torch.where(_on_axis(vertices, majorant.free_axis), 0.0, values)


def _tangent_slopes(majorant: Majorant, direction: Tensor) -> Tensor:
    """sum_i |R_i| b_i x_i with b_i = 1 where x_i . direction > 0, and slants, shape (sides, d, B)."""
    d = majorant.rows.shape[1]
    slants = majorant.slants[1:] if majorant.scalar else majorant.slants
    products = _products(majorant.tangent_rows, direction)
    parts = [majorant.tangent_maps @ torch.gt(piece, 0, out=piece) for piece in products]
    return torch.cat(parts, dim=1).reshape(-1, d, direction.shape[1]).add_(slants[:, :, None])


def _on_axis(vertices: Tensor, axis: int) -> Tensor:
    """Which generators are exactly +-e_axis, shape (d, B)."""
    return vertices[:, axis].abs() == 1.0


def proven_bounds(vertices: Tensor, values: Tensor, coefficients: Tensor, majorant: Majorant) -> Tensor:
    """Scale w = sum_k a_k v_k until w . v_k >= val_k holds for all k despite rounding, and return |w|, shape (B,).

    Args:
        vertices: Generators, shape (d, d, B).
        values: val, shape (d, B).
        coefficients: a >= 0, shape (d, B).
        majorant: Gives the free axis and the bound used where no scaling works.
    """
    d = vertices.shape[0]
    w = penalized((vertices * coefficients[:, None]).sum(0), majorant.free_axis)
    w = w / w.abs().amax(0).clamp(min=1e-300)
    reach = (vertices * w).sum(1) - 2 * (d + 2) * UNIT_ROUNDOFF
    if majorant.free_axis is not None:
        reach = torch.where(_on_axis(vertices, majorant.free_axis), 0.0, reach)
    needed = torch.where(values > 0, values / reach, 0.0)
    scale = needed.amax(0) * (1 + 8 * UNIT_ROUNDOFF)
    reached = torch.where(values > 0, reach > 0, (reach >= 0) | (scale * reach * (1 + 8 * UNIT_ROUNDOFF) >= values))
    norms = scale * w.norm(dim=0) * (1 + (2 * d + 20) * UNIT_ROUNDOFF)
    fallback = torch.full_like(norms, majorant.trivial)
    bounds = torch.where((reached & values.isfinite()).all(0) & (norms < math.inf), norms, fallback)
    bounds = torch.where((values <= 0).all(0), 0.0, bounds)
    return torch.minimum(bounds, fallback)
