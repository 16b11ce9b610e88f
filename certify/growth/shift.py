"""Shifts: where a hidden bias is free, one subnetwork moves all hidden responses alike at next to no cost.

Dual points have zero moments against it, so that no search at one finds it; gradients on the way do not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.problem import Branch, Factors, Objective, ParallelNetwork

# The bias exceeds the preactivations that a unit of input weights makes by this factor.
REACH = 100.0


def violating_shifts(objective: Objective, network: ParallelNetwork) -> tuple[Factors, ...]:
    """Of every branch with a free hidden bias the shift with θ = 1 that the gradient asks for, if any."""
    if not any(branch.view.free_inputs for branch in objective.branches):
        return objective.empty_stacks()
    gradient = objective.evaluate(network).gradient
    return tuple(
        _shift(branch, gradient) if branch.view.free_inputs else branch.empty(objective.outputs)
        for branch in objective.branches
    )


def _shift(branch: Branch, gradient: Tensor) -> Factors:
    """One subnetwork, or none where it does not violate the polar condition at the gradient (n, c)."""
    rows = branch.table.rows
    first = torch.zeros_like(rows[:1])
    first[:, 0], first[:, -1] = 1.0, REACH * (rows[:, 0].abs().max() + 1)
    second = torch.nn.functional.normalize(branch.scores(gradient).sum(0, keepdim=True), dim=1)
    violating = branch.pairing(gradient, (first, second)) > branch.strength
    return first[violating], second[violating]
