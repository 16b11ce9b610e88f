"""Growth: add subnetworks along directions that violate the polar condition.

At step sizes α_i ≥ 0 the network Φ + Σ α_i φ(w_i), θ(w_i) = 1, has objective
l(Z + Σ α_i φ_i) + penalty + λ Σ α_i, convex in α with slope λ − <−A, φ_i> at 0: negative for every violating
direction (Haeffele and Vidal 2017, Theorem 2; Bach 2013). The step minimizes it over α ≥ 0.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from certify.problem import Factors, Objective, ParallelNetwork

STEP_ITERATIONS = 100


def grown(objective: Objective, network: ParallelNetwork, directions: Factors) -> ParallelNetwork:
    """The network widened by every direction that gets a positive step; unchanged if none does.

    Args:
        objective: the function to minimize.
        network: where to start.
        directions: stacked factors (s, ·) with θ = 1.
    """
    if directions[0].shape[0] == 0:
        return network
    steps = _best_steps(objective, network, directions)
    kept = steps > 0
    if not bool(kept.any()):
        return network
    share = steps[kept] ** (1 / objective.kind.degree)
    added = tuple(f[kept] * share.reshape(-1, *[1] * (f.ndim - 1)) for f in directions)
    factors = tuple(torch.cat([old, new]) for old, new in zip(network.factors, added, strict=True))
    return ParallelNetwork(factors, network.coefficients)


def _best_steps(objective: Objective, network: ParallelNetwork, directions: Factors) -> torch.Tensor:
    base = objective.forward(network)
    pieces = torch.stack(
        [
            objective.kind.forward(objective.inputs, tuple(f[i : i + 1] for f in directions))
            for i in range(directions[0].shape[0])
        ]
    )

    def value_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        steps = torch.from_numpy(flat).to(base)
        outputs = base + torch.einsum("s,snc->nc", steps, pieces)
        value = objective.loss.value_terms(outputs).sum() + objective.strength * steps.sum()
        slope = torch.einsum("snc,nc->s", pieces, objective.loss.gradient(outputs)) + objective.strength
        return float(value), slope.cpu().numpy()

    start = np.zeros(len(pieces))
    found = minimize(
        value_and_gradient,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * len(pieces),
        options={"maxiter": STEP_ITERATIONS, "ftol": 0.0, "gtol": 1e-12},
    )
    return torch.from_numpy(np.asarray(found.x)).to(base)
