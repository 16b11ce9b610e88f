"""Dual points: A (n, c) in the conjugate's domain with E_jᵀA = 0 for every free row of the convex part.

Weak duality: if Ω_b°(−A) ≤ λ_b for every branch b then every network of any width has objective ≥
−l*(A) + <A, Z_0> − Σ_{μ_j>0} |E_jᵀA|²/(2μ_j) (Haeffele and Vidal 2017, Bach 2013; Fenchel). Any A in the domain
serves, converged or not. A is kept on a dyadic grid, all entries integers times one power of two, so that the linear
constraints with integer coefficients (row sums of softmax, column sums of a free bias) hold exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from certify.errors import CertifyError
from certify.problem.groups import with_zero_sums, without_sums
from certify.problem.objective import Objective
from certify.problem.rounding import rounded_sum

# Grid entries are integers below 2**GRID_BITS, so that sums of up to 2**(63 - GRID_BITS) of them fit 64 bits.
GRID_BITS = 44
# Dual points are pulled this share toward 0, an interior point of the domain, before they are rounded.
INTERIOR_SHRINK = 2.0**-40
# Rounds of alternating between the domain and the free constraints.
REPAIR_ROUNDS = 100
# Accuracy of the best scale; the dual value errs by its square.
SCALE_ACCURACY = 1e-7
# A function this close to a parabola, relative to its bend, is taken for one.
PARABOLA_ACCURACY = 1e-9
# Room, as a share of the weight, given to entries on the boundary when interior entries alone do not suffice.
METRIC_FLOOR = 0.01
# A free moment counts as zero below this multiple of Σ_i |E_ij||A_ik|; rounding alone stays far below it.
FREE_MOMENT_TOLERANCE = 1e-11


class InfeasibleDualError(CertifyError):
    """No dual point near the candidate satisfies the constraints in floating point."""

    default_code = "numerical"


@final
@dataclass(frozen=True, slots=True)
class DualPoint:
    """A feasible dual point but for the polar constraint.

    Attributes:
        values: A, (n, c) float64 on a dyadic grid.
        scale: s in [0, 1]; the point is s · A.
        value: dual value of s · A.
    """

    values: Tensor
    scale: float
    value: float


def dual_value(objective: Objective, dual: Tensor) -> float:
    """−l*(A) + <A, Z_0> − Σ_{μ_j>0} |E_jᵀA|²/(2μ_j); −inf outside the domain. A is (n, c)."""
    value = -objective.loss.conjugate(dual) - objective.convex.conjugate(dual)
    return value if objective.offset is None else value - rounded_sum((-objective.offset * dual).flatten().tolist())


def feasible_dual(objective: Objective, candidate: Tensor) -> Tensor:
    """The dual point (n, c) near `candidate`, repaired into the domain and the free constraints.

    Raises:
        InfeasibleDualError: the constraints cannot be met near the candidate.
    """
    dual = _without_free_moments(objective, objective.loss.repair(candidate), floor=0.0)
    for _ in range(REPAIR_ROUNDS):
        rounded = _on_grid(objective, dual * (1 - INTERIOR_SHRINK))
        if _obstacle(objective, rounded) is None:
            return rounded
        dual = _without_free_moments(objective, objective.loss.repair(dual), floor=METRIC_FLOOR)
    return _shrunk_into_domain(objective, dual)


def best_scale(objective: Objective, dual: Tensor, cap: float) -> DualPoint:
    """Maximize the dual value of s · A over s in [0, cap]; any s is valid, the search costs tightness only.

    A (n, c) is feasible but for the polar, and the cap is λ / U with U ≥ Ω°(−A).
    """
    top = min(cap, _domain_cap(objective, dual))

    def value(scale: float) -> float:
        return dual_value_estimate(objective, scale * dual)

    peak = _parabola_peak(value, top)
    if peak is None:
        options = {"xatol": SCALE_ACCURACY}
        with np.errstate(all="ignore"):
            peak = float(minimize_scalar(lambda s: -value(s), bounds=(0.0, top), method="bounded", options=options).x)
    scale = max((peak, top, 0.0), key=value)
    return DualPoint(dual, scale, dual_value(objective, scale * dual))


def _parabola_peak(value: Callable[[float], float], top: float) -> float | None:
    """Where a parabola is largest on [0, top]; None for other functions. The squared error's dual value is one."""
    middle = top / 2
    low, center, high = value(0.0), value(middle), value(top)
    bend = low - 2 * center + high
    if not (math.isfinite(bend) and bend < 0):
        return None
    offset = (low - high) / (2 * bend)
    peak = min(max(middle * (1 + offset), 0.0), top)
    step = peak / middle - 1
    expected = center + step * (high - low) / 2 + step**2 * bend / 2
    return peak if abs(value(peak) - expected) <= PARABOLA_ACCURACY * abs(bend) else None


def _shrunk_into_domain(objective: Objective, dual: Tensor) -> Tensor:
    """The free constraints are linear and 0 lies in the domain, so a smaller multiple may serve."""
    for power in range(20):
        rounded = _on_grid(objective, dual * 0.8**power * (1 - INTERIOR_SHRINK))
        if (obstacle := _obstacle(objective, rounded)) is None:
            return rounded
    raise InfeasibleDualError(f"no dual point near the candidate: {obstacle}")


def dual_value_estimate(objective: Objective, dual: Tensor) -> float:
    """The dual value summed fast, to choose points and scales by."""
    shift = 0.0 if objective.offset is None else (objective.offset * dual).sum()
    ridge = objective.convex.conjugate_terms(dual).sum()
    return float(shift - objective.loss.conjugate_terms(dual).sum() - ridge)


def _domain_cap(objective: Objective, dual: Tensor) -> float:
    """Largest tried s ≥ 1 with s · A in the domain (0 and A are, and the domain is convex)."""
    cap = 1.0
    for s in (1.25, 2.0, 4.0, 16.0, 256.0):
        if not math.isfinite(dual_value_estimate(objective, s * dual)):
            break
        cap = s
    return cap


def _without_free_moments(objective: Objective, dual: Tensor, floor: float) -> Tensor:
    """A − M E δ with Eᵀ M E δ = EᵀA over the free rows, M the local metric of the domain."""
    features, groups = _free_columns(objective), objective.convex.free_groups
    k, c = features.shape[1], dual.shape[1]
    if k == 0 and not groups:
        return dual
    metric = objective.loss.domain_metric(dual) + floor * objective.loss.weights
    if groups:
        # A column of ones lies in the span of their indicators.
        return torch.stack([without_sums(groups, metric[:, j], dual[:, j]) for j in range(c)], 1)
    if not objective.loss.couples_row:
        return torch.stack([_decoupled(features, metric[:, j], dual[:, j]) for j in range(c)], 1)
    # Softmax: M v = p v − p (p·v), which keeps row sums; one coupled system of size k c.
    share = metric / metric.sum(1, keepdim=True).clamp_min(1e-300)
    basis = torch.eye(k * c, dtype=dual.dtype, device=dual.device).reshape(k * c, k, c)
    moved = torch.einsum("nk,bkc->bnc", features, basis)
    moved = metric * (moved - (share * moved).sum(2, keepdim=True))
    system = torch.einsum("nk,bnc->bkc", features, moved).reshape(k * c, k * c)
    delta = _pseudoinverse(system) @ (features.T @ dual).flatten()
    correction: Tensor = torch.einsum("b,bnc->nc", delta, moved)
    return dual - correction


def _free_columns(objective: Objective) -> Tensor:
    """What the columns of A must be orthogonal to, (n, k): free rows of the convex part, and a free hidden bias."""
    features = objective.convex.free_features
    if not _has_free_bias(objective) or _has_constant(features):
        return features
    return torch.cat([features, features.new_ones(len(features), 1)], 1)


def _decoupled(features: Tensor, metric: Tensor, column: Tensor) -> Tensor:
    system = features.T @ (metric[:, None] * features)
    return column - metric * (features @ (_pseudoinverse(system) @ (features.T @ column)))


def _pseudoinverse(system: Tensor) -> Tensor:
    """Of a symmetric matrix (k, k)."""
    try:
        found: Tensor = torch.linalg.pinv(system, hermitian=True)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise InfeasibleDualError("the constraints of the unpenalized parameters overflow") from error
    return found


def _on_grid(objective: Objective, dual: Tensor) -> Tensor:
    """Round toward zero to a common dyadic grid, then make the integer constraints exact."""
    largest = float(dual.abs().max()) if dual.numel() else 0.0
    if largest == 0:
        return dual.clone()
    quantum = 2.0 ** (math.frexp(largest)[1] - GRID_BITS)
    grid = torch.trunc(dual / quantum).to(torch.int64)
    if objective.loss.couples_row:
        receiver = objective.loss.domain_metric(dual).argmax(1, keepdim=True)
        grid = grid.scatter_add(1, receiver, -grid.sum(1, keepdim=True))
    if groups := objective.convex.free_groups:
        metric = objective.loss.domain_metric(dual)
        columns = [with_zero_sums(groups, grid[:, j], metric[:, j]) for j in range(grid.shape[1])]
        grid = torch.stack(columns, 1)
    elif has_free_intercept(objective):
        grid = _zero_column_sums(objective, grid, dual)
    return grid.to(dual) * quantum


def has_free_intercept(objective: Objective) -> bool:
    """Whether a constant column is free, in the convex part or in a branch, so that 1ᵀA = 0 must hold."""
    return _has_free_bias(objective) or _has_constant(objective.convex.free_features)


def _has_free_bias(objective: Objective) -> bool:
    return any(branch.view.free_inputs for branch in objective.branches)


def _has_constant(features: Tensor) -> bool:
    """Whether one of the columns (n, k) is constant 1."""
    return bool((features == 1).all(0).any())


def _zero_column_sums(objective: Objective, grid: Tensor, dual: Tensor) -> Tensor:
    excess = grid.sum(0)
    metric = objective.loss.domain_metric(dual)
    if objective.loss.couples_row:
        grid[metric.amin(1).argmax()] -= excess
    else:
        grid[metric.argmax(0), torch.arange(grid.shape[1], device=grid.device)] -= excess
    return grid


def _obstacle(objective: Objective, dual: Tensor) -> str | None:
    """Which constraint a dual point violates, None if it is feasible but for the polar."""
    if not math.isfinite(float(objective.loss.conjugate_terms(dual).sum())):
        return "it leaves the domain of the conjugate loss"
    features = objective.convex.free_features
    if not bool(((features.T @ dual).abs() <= FREE_MOMENT_TOLERANCE * (features.T.abs() @ dual.abs())).all()):
        return "it does not satisfy the constraints of the unpenalized parameters"
    if has_free_intercept(objective) and any(math.fsum(column) != 0 for column in dual.T.tolist()):
        return "its columns do not sum to zero"
    if not all(
        bool((group.sums(dual).abs() <= FREE_MOMENT_TOLERANCE * group.sums(dual.abs())).all())
        for group in objective.convex.free_groups
    ):
        return "it does not sum to zero over the groups of the unpenalized parameters"
    return None
