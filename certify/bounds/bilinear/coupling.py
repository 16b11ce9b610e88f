"""What bounds over two factors ask of a branch: their norms, and G of uᵀG v, HᵀS or what stands on entries."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from certify.bounds.bilinear.moments import moments_error, moments_of
from certify.bounds.multilinear.sparse_matrix import SparseMatrix
from certify.bounds.polar import PolarTask
from certify.bounds.rounding import gamma
from certify.problem import Branch, Entries, Multilinear, SideNorm


class Norms(NamedTuple):
    """Of u and v, with their cones."""

    left: SideNorm
    right: SideNorm


def norms_of(owner: PolarTask | Branch) -> Norms:
    """The norms of a task, or of its branch."""
    branch = owner.branch if isinstance(owner, PolarTask) else owner
    left, right = branch.sides
    return Norms(left, right)


def has_two_factors(task: PolarTask) -> bool:
    """Whether it is not about a tensor."""
    return len(task.branch.sides) == 2


def extents_of(task: PolarTask) -> tuple[int, int]:
    """(h, m) of G."""
    view = task.branch.view
    if isinstance(view, Entries):
        return view.shape[0], view.shape[1]
    return task.branch.table.rows.shape[1], task.scores.shape[1]


def coupling_of(branch: Branch, scores: Tensor) -> Tensor:
    """G with all its entries, (h, m)."""
    if isinstance(branch.view, Entries):
        return SparseMatrix.of(branch.view, Multilinear(branch.view).values(scores)).dense()
    return moments_of(branch.table.rows, scores)


def coupling_error(branch: Branch, scores: Tensor) -> Tensor:
    """Bound on the rounding errors of G, (h, m) or for entries (N,)."""
    if isinstance(branch.view, Entries):
        # Coefficients round thrice.
        return Multilinear(branch.view).values(scores).abs() * (gamma(8) * (branch.view.coefficients is not None))
    return moments_error(branch.table.rows, scores)


def outputs_of(branch: Branch, weights: Tensor) -> Tensor:
    """Φ at Σ u vᵀ = W, (n, c)."""
    if isinstance(branch.view, Entries):
        rows, columns = branch.view.indices.T
        return branch.view.weighted(weights[rows, columns])[:, None]
    return branch.forward((torch.eye(len(weights)).to(weights), weights))
