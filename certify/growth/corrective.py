"""Fully corrective step: the best network made of given subnetworks, each only rescaled.

    minimize over α ≥ 0 and C   l(Z_0 + Σ_i α_i φ_i + E C) + Σ_i λ_i α_i + Σ_j (μ_j/2)|C_j|²,   θ(w_i) = 1,

a convex problem, solved by Newton steps projected on α ≥ 0 (Bertsekas 1982). At its solution the dual point
A = ∇l(Z) satisfies <−A, φ_i> ≤ λ_i, the strength of its branch, for every given subnetwork (Bach 2013, fully
corrective Frank and Wolfe).
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from certify.growth.convex_maps import convex_maps
from certify.growth.directions import directions_of, joined, subnetworks_of
from certify.problem import Factors, Objective, ParallelNetwork

NEWTON_STEPS = 60
# Newton systems get this share of their mean diagonal added, against parallel subnetworks.
DAMPING = 1e-12
# Predicted decrease, relative to the objective, below which the problem counts as solved.
STOP_SHARE = 1e-15
BACKTRACKS = 40


def corrected(
    objective: Objective, network: ParallelNetwork, directions: tuple[Factors, ...], deadline: float
) -> ParallelNetwork:
    """The best rescaled combination of the network's own subnetworks, at their scales first, and further directions.

    These have θ = 1, stacked in every branch, (s, ·); s may be 0. Stops at the deadline in `time.perf_counter()`.
    """
    atoms, starts = [], []
    for branch, stack, more in zip(objective.branches, network.stacks, directions, strict=True):
        own, scales = directions_of(branch, stack)
        atoms.append(joined(own, more))
        starts.append(torch.cat([scales, scales.new_zeros(len(more[0]))]))
    master = _Master(objective, tuple(atoms), network.coefficients.numel())
    point = _projected_newton(master, torch.cat([*starts, network.coefficients.flatten()]), deadline)
    *scales_found, coefficients = torch.split(point, [*(len(start) for start in starts), network.coefficients.numel()])
    stacks = []
    for branch, found, scales in zip(objective.branches, atoms, scales_found, strict=True):
        kept = scales > 0
        stacks.append(subnetworks_of(branch, tuple(f[kept] for f in found), scales[kept]))
    return ParallelNetwork(tuple(stacks), coefficients.reshape(network.coefficients.shape))


class _Master:
    """The convex problem in x = (α, C): values, gradients and Hessians."""

    def __init__(self, objective: Objective, atoms: tuple[Factors, ...], coefficients: int) -> None:
        self.objective, self.atoms = objective, sum(len(stack[0]) for stack in atoms)
        features = objective.convex.features
        pairs = tuple(zip(objective.branches, atoms, strict=True))
        self.directions = torch.cat([*(branch.outputs(stack) for branch, stack in pairs), convex_maps(objective)])
        costs = (features.new_full((len(stack[0]),), branch.strength) for branch, stack in pairs)
        self.ridge = torch.cat(
            [features.new_zeros(self.atoms), objective.convex.ridge.repeat_interleave(objective.outputs)]
        )
        self.cost = torch.cat([*costs, features.new_zeros(coefficients)])

    def outputs(self, point: Tensor) -> Tensor:
        """Z (n, c)."""
        outputs = torch.einsum("m,mnc->nc", point, self.directions)
        return outputs if self.objective.offset is None else outputs + self.objective.offset

    def value(self, point: Tensor) -> float:
        """Objective of the combination."""
        loss = self.objective.loss.value_terms(self.outputs(point)).sum()
        return float(loss + self.cost @ point + (self.ridge * point**2).sum() / 2)

    def gradient(self, point: Tensor) -> Tensor:
        """Gradient, (m,)."""
        slope = self.objective.loss.gradient(self.outputs(point))
        return torch.einsum("mnc,nc->m", self.directions, slope) + self.cost + self.ridge * point

    def hessian(self, point: Tensor, free: Tensor) -> Tensor:
        """Hessian on the free coordinates."""
        chosen = self.directions[free]
        return self.objective.loss.curvature_matrix(self.outputs(point), chosen) + torch.diag(self.ridge[free])


def _projected_newton(master: _Master, point: Tensor, deadline: float) -> Tensor:
    bounded = torch.arange(len(point), device=point.device) < master.atoms
    value = master.value(point)
    for _ in range(NEWTON_STEPS):
        if time.perf_counter() > deadline:
            break
        gradient = master.gradient(point)
        free = ~(bounded & (point <= 0) & (gradient >= 0))
        step = torch.zeros_like(point)
        step[free] = -_solve(master.hessian(point, free), gradient[free])
        moved, moved_value = _line_search(master, point, value, step, bounded)
        if not moved_value < value:
            moved, moved_value = _line_search(master, point, value, -gradient * free, bounded)
        decrease = value - moved_value
        if not decrease > 0:
            break
        point, value = moved, moved_value
        if decrease <= STOP_SHARE * abs(value):
            break
    return point


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    damping = DAMPING * float(matrix.diagonal().mean()) if matrix.numel() else 0.0
    for _ in range(20):
        factor, info = torch.linalg.cholesky_ex(matrix + damping * torch.eye(len(matrix)).to(matrix))
        if int(info) == 0:
            return torch.cholesky_solve(right[:, None], factor)[:, 0]
        damping = max(10 * damping, 1e-300)
    return right


def _line_search(master: _Master, point: Tensor, value: float, step: Tensor, bounded: Tensor) -> tuple[Tensor, float]:
    size = 1.0
    for _ in range(BACKTRACKS):
        trial = point + size * step
        trial = torch.where(bounded, trial.clamp_min(0), trial)
        trial_value = master.value(trial)
        if trial_value < value:
            return trial, trial_value
        size /= 2
    return point, value
