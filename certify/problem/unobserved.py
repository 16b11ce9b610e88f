"""Entries of a matrix that are no samples: each has target 0 and adds κ z² (Hu, Koren and Volinsky 2008).

With Z = Σ_i u_i v_iᵀ their sum is κ (|Z|_F² − Σ_e z_e²), e over the samples, and |Z|_F² = Σ_ij (u_i·u_j)(v_i·v_j): the
matrix is never made. Cauchy and Schwarz bound it from below by one more sample of squared error, exact at an anchor M:

    κ Σ z² ≥ (κ/c) <M, Z>², the products over the unobserved entries, c = <M, M>,

so that a dual point has a last entry a, which stands for a M there.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from certify.problem.entries import Anchor, Entries
from certify.problem.objective import Objective, ParallelNetwork, squared_norm

# What is left of |M|² outside the samples counts as nothing below this share.
NOTHING = 1e-12


def anchored(objective: Objective, network: ParallelNetwork) -> Objective:
    """The objective with the network's matrix as the anchor, in place of all that is not observed."""
    if not objective.unobserved:
        return objective
    (branch,), (stack,) = objective.branches, network.stacks
    view, loss = branch.view, objective.loss
    if not isinstance(view, Entries):
        raise TypeError("no entries")
    values = view.sums(stack)
    whole = squared_norm(stack)
    rest = float(whole - (values**2).sum())
    if not rest > NOTHING * float(whole):
        return replace(objective, unobserved=0.0)
    targets = torch.cat([loss.targets, loss.targets.new_zeros(1, 1)])
    weights = torch.cat([loss.weights, loss.weights.new_full((1, 1), objective.unobserved / rest)])
    return replace(
        objective,
        branches=(replace(branch, view=replace(view, anchor=Anchor(stack, values))),),
        convex=replace(objective.convex, features=loss.targets.new_zeros(len(targets), 0)),
        loss=replace(loss, targets=targets, weights=weights),
        unobserved=0.0,
    )
