"""Balancing: rescale the factors of each subnetwork to the least penalty at unchanged outputs.

Under weight decay the best norms satisfy n_k² = d_k m with Π n_k^{d_k} = t, the matched product (see
`penalties/weight_decay.py`). A subnetwork with t = 0 outputs nothing and is set to zero.
"""

from __future__ import annotations

import math

import torch

from certify.problem import Objective, ParallelNetwork


def balanced(objective: Objective, network: ParallelNetwork) -> ParallelNetwork:
    """The same function with each subnetwork's factors at their balanced norms."""
    degrees = objective.kind.degrees
    products = objective.matched_products(network)
    spread = math.prod(d ** (d / 2) for d in degrees)
    mass = (products / spread) ** (2 / sum(degrees))
    factors = []
    for factor, norm, degree in zip(network.factors, objective.norms(network), degrees, strict=True):
        wanted = torch.sqrt(degree * mass)
        ratio = torch.where(products > 0, wanted / torch.where(norm > 0, norm, 1.0), 0.0)
        factors.append(factor * ratio.reshape(-1, *[1] * (factor.ndim - 1)))
    return ParallelNetwork(tuple(factors), network.coefficients)
