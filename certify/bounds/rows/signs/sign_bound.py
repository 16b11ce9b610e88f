"""Proven bound of a tree of signs: the largest of what its leaves show, with every rounding counted."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.bounds.proof import SignTree
from certify.bounds.rounding import gamma
from certify.bounds.rows.kinked_scores import kinked_scores
from certify.bounds.rows.relaxations.direction_region import direction_region
from certify.bounds.rows.signs.sign_search import VOID
from certify.problem import Rows


def sign_tree_upper(form: Rows, scores: Tensor, tree: SignTree) -> float:
    """Upper bound on max |Sᵀσ(H u)| for one score column S (N, 1); void nodes rest on rows that no other one shows."""
    region, parts = direction_region(form.view, tree.center, tree.ratio), kinked_scores(form.slopes, scores)
    signs, x, decided = tree.signs, tree.multipliers, tree.signs != 0
    directed = torch.where(tree.negated, -1.0, 1.0).to(scores)[:, None]
    bent, linear = directed * parts.rectified[:, 0], directed * parts.linear[:, 0]
    terms = sum(region.inputs.shape) + 16

    def lengths(weights: Tensor, magnitudes: Tensor) -> Tensor:
        w = (weights @ region.inputs).abs() + magnitudes @ region.inputs.abs() * gamma(terms)
        norms: Tensor = torch.linalg.vector_norm(w, dim=1)
        return norms * (math.sqrt(region.radius_squared) * (1 + gamma(terms)))

    own = torch.where(decided, x, 0.0)
    edges = torch.where(tree.voids < 0, 0.0, lengths(signs * own, own)[tree.voids])
    weights = torch.where(decided, (signs > 0) * bent + signs * x, x * bent) + linear
    loose = torch.where(decided, 0.0, bent.clamp_min(0) * torch.maximum(x, 1 - x)) @ region.reach
    slack = ((bent.clamp_min(0) + own) * edges).sum(1)
    bounds = (lengths(weights, bent.abs() + linear.abs() + own) + loose + slack) * (1 + gamma(2 * terms))
    is_void = torch.tensor([split == VOID for split in tree.splits if split < 0], device=bounds.device)
    return float(bounds[~is_void].max())
