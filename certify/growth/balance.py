"""Balancing: rescale the factors of each subnetwork to the least penalty at unchanged outputs.

At fixed t = Π n_k^{d_k} the best norms satisfy n_k² = s_k m with the shares s_k of the penalty, so that
m = (t / Π s_k^{d_k/2})^{2/D}, D = Σ d_k. A subnetwork with t = 0 outputs nothing and is set to zero.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.problem import Branch, Factors, Kind, Objective, ParallelNetwork


def balanced(objective: Objective, network: ParallelNetwork) -> ParallelNetwork:
    """The same function with each subnetwork's factors at their balanced norms."""
    stacks = (
        rescaled(branch, stack, branch.penalty.shares(branch.kind))
        for branch, stack in zip(objective.branches, network.stacks, strict=True)
    )
    return ParallelNetwork(tuple(stacks), network.coefficients)


def rescaled(branch: Branch, stack: Factors, shares: tuple[float, ...]) -> Factors:
    """The same subnetworks with squared norms n_k² proportional to the shares s_k."""
    products = branch.products(stack)
    wanted = norms_at(branch.kind, shares, products)
    ratios = (
        torch.where(products > 0, goal / torch.where(norm > 0, norm, 1.0), 0.0)
        for goal, norm in zip(wanted, branch.norms(stack), strict=True)
    )
    return tuple(factor * ratio[:, None] for factor, ratio in zip(stack, ratios, strict=True))


def norms_at(kind: Kind, shares: tuple[float, ...], products: Tensor) -> tuple[Tensor, ...]:
    """The norms n_k (r,) with n_k² proportional to s_k and Π n_k^{d_k} = t, for t (r,)."""
    ratios = [share / shares[0] for share in shares]  # all that counts
    spread = math.prod(ratio ** (d / 2) for ratio, d in zip(ratios, kind.degrees, strict=True))
    mass = (products / spread) ** (2 / kind.degree)
    return tuple(torch.sqrt(ratio * mass) for ratio in ratios)
