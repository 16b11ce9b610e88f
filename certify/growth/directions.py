"""Subnetworks as directions and scales: φ(w_i) with θ(w_i) = 1, times α_i = the matched product t_i."""

from __future__ import annotations

import torch
from torch import Tensor

from certify.growth.balance import norms_at
from certify.problem import Branch, Factors


def directions_of(branch: Branch, stack: Factors) -> tuple[Factors, Tensor]:
    """Directions (factors with every norm 1) and scales α (r,) of the subnetworks with a nonzero product."""
    scales = branch.products(stack)
    alive = scales > 0
    directions = tuple(f[alive] / norm[alive, None] for f, norm in zip(stack, branch.norms(stack), strict=True))
    return directions, scales[alive]


def subnetworks_of(branch: Branch, directions: Factors, scales: Tensor) -> Factors:
    """The balanced subnetworks of these directions and scales α (r,); what `directions_of` takes apart."""
    norms = norms_at(branch.kind, branch.penalty.shares(branch.kind), scales)
    return tuple(f * norm[:, None] for f, norm in zip(directions, norms, strict=True))


def inside(branch: Branch, stack: Factors) -> Factors:
    """The nearest subnetworks in the cones of the branch."""
    return tuple(side.felt(factor) for side, factor in zip(branch.sides, stack, strict=True))


def joined(first: Factors, second: Factors) -> Factors:
    """The subnetworks of both stacks, one after the other."""
    return tuple(torch.cat(pair) for pair in zip(first, second, strict=True))
