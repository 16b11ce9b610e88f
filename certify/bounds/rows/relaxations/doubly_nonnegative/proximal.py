"""The loss's step: where outputs stop between the loss and a point that they are drawn to."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.problem import ConvexPart, Objective
from certify.problem.losses import EntrywiseLoss, Loss

NEWTON_STEPS = 100
ACCURACY = 1e-13
# Longest Newton step for losses that couple a row.
LONGEST_STEP = 3.0
# Steps for the coefficients of the convex part, which go on from where they were.
COEFFICIENT_STEPS = 3


def proximal(loss: Loss, point: Tensor, pull: float, start: Tensor) -> Tensor:
    """Argmin over Z of l(Z) + pull/2 |Z − T|², (n, c), from a start, which is best near it."""
    if isinstance(loss, EntrywiseLoss):
        return _entrywise(loss, point, pull, start)
    return _rowwise(loss, point, pull, start)


def _entrywise(loss: EntrywiseLoss, point: Tensor, pull: float, start: Tensor) -> Tensor:
    """Newton's method inside a bracket, halved where it is slow: the optimum is between T and T − l'(T)/pull."""
    end = point - loss.gradient(point) / pull
    low, high = torch.minimum(point, end), torch.maximum(point, end)
    z, before = torch.minimum(torch.maximum(start, low), high), torch.full_like(point, math.inf)
    for _ in range(NEWTON_STEPS):
        slope = loss.gradient(z) + pull * (z - point)
        low, high = torch.where(slope < 0, z, low), torch.where(slope > 0, z, high)
        bend = loss.weights * loss.atom_curvature(z, loss.targets) + pull
        moved = z - slope / bend
        fast = (moved >= low) & (moved <= high) & (2 * slope.abs() <= before)
        moved, before = torch.where(fast, moved, (low + high) / 2), slope.abs()
        done = (moved - z).abs() <= ACCURACY * (1 + z.abs())
        z = moved
        if bool(done.all()):
            break
    return z


def _rowwise(loss: Loss, point: Tensor, pull: float, start: Tensor) -> Tensor:
    """Newton's method for the softmax: its curvature is a diagonal minus a product in each row."""
    weight = loss.weights[:, :1] * loss.targets.sum(1, keepdim=True)
    fixed, reach = loss.weights[:, :1] * loss.targets + pull * point, weight / pull
    # No entry of the gradient is larger than the weight.
    z = start.clamp(point - reach, point + reach)
    for _ in range(NEWTON_STEPS):
        share = torch.softmax(z, 1)
        mass = weight * share
        diagonal = mass + pull
        first, second = (mass - fixed + pull * z) / diagonal, mass / diagonal
        ahead = (share * first).sum(1, keepdim=True) / (1 - (share * second).sum(1, keepdim=True))
        step = (first + second * ahead).clamp(-LONGEST_STEP, LONGEST_STEP)
        z = z - step
        if float(step.abs().max()) <= ACCURACY * (1 + float(z.abs().max())):
            break
    return z


class LossStep:
    """The step of the loss together with the convex part, whose coefficients C are carried from call to call."""

    def __init__(self, objective: Objective) -> None:
        """Start from C = 0; where a hidden bias is free, so is a constant, which subnetworks without inputs make."""
        convex = objective.convex
        if any(branch.view.free_inputs for branch in objective.branches):
            ones, zero = torch.ones_like(objective.loss.targets[:, :1]), convex.ridge.new_zeros(1)
            convex = ConvexPart(torch.cat([convex.features, ones], 1), torch.cat([convex.ridge, zero]))
        self._objective, self._convex = objective, convex
        self.coefficients = convex.features.new_zeros(convex.features.shape[1], objective.outputs)
        # Where the last call stopped.
        self._z = torch.zeros_like(objective.loss.targets)

    def __call__(self, point: Tensor, pull: float) -> tuple[Tensor, Tensor]:
        """Argmin over Z and C of l(Z_0 + Z + E C) + Σ_j μ_j/2 |C_j|² + pull/2 |Z − T|², as Z and the gradient of l.

        The function left when Z is eliminated has curvature of at most pull EᵀE + μ in C; steps of Newton's method for
        that bound approach it.
        """
        convex, loss = self._convex, self._objective.loss
        fixed = point if self._objective.offset is None else point + self._objective.offset
        if convex.features.shape[1] == 0:
            z = self._z = proximal(loss, fixed, pull, self._z)
            return point + (z - fixed), loss.gradient(z)
        bend = pull * convex.features.T @ convex.features + torch.diag(convex.ridge)
        bend = bend + 1e-12 * bend.diagonal().max() * torch.eye(len(bend)).to(bend)
        for _ in range(COEFFICIENT_STEPS):
            drawn = fixed + convex.features @ self.coefficients
            z = self._z = proximal(loss, drawn, pull, self._z)
            slope = convex.features.T @ (pull * (drawn - z)) + convex.ridge[:, None] * self.coefficients
            self.coefficients = self.coefficients - torch.linalg.solve(bend, slope)
        drawn = fixed + convex.features @ self.coefficients
        z = self._z = proximal(loss, drawn, pull, self._z)
        return point + (z - drawn), loss.gradient(z)
