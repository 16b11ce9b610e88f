"""What a certificate of a factorization states, evaluated without certify; a part of `ceilings`."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from .layers import number

STEPS = 200
# Terms of tensors.
RANK = 4


def norm_of(side, factor):
    """The norm of every row as stated; +inf outside the cone."""
    one, two, most = (factor.dtype.type(number(side[name])) for name in ("l1", "l2", "linf"))
    sizes = np.abs(factor)
    found = one * sizes.sum(1) + two * np.sqrt((sizes**2).sum(1)) + most * sizes.max(1, initial=0)
    return np.where((factor < 0).any(1) & side["nonnegative"], np.inf, found)


class EntryBranch:
    """Terms γ Π_k u_k[x_k] as stated, for places X (n, K)."""

    def __init__(self, entry, inputs, kind):
        layer, penalty = entry["layers"][0], entry["penalty"]
        self.shape, self.scale, self.kind = layer["shape"], kind(number(layer["scale"])), kind
        self.places = inputs.astype(int)
        self.counts = [np.bincount(p, minlength=n).astype(kind) for p, n in zip(self.places.T, self.shape, strict=True)]
        self.product, self.counted = penalty["name"] == "product-of-norms", penalty["name"].startswith("counted")
        self.sides = penalty.get("norms")
        strengths = penalty.get("strengths") or [penalty["strength"]]
        self.strengths = [kind(number(strength)) for strength in strengths]

    @property
    def strength(self):
        """λ of the product of norms."""
        return self.strengths[0] if self.product or self.sides else np.sqrt(np.prod(self.strengths))

    def outputs(self, _, factors):
        """Z of this branch, (n, 1)."""
        terms = [factor.T[places] for factor, places in zip(factors, self.places.T, strict=True)]
        return self.scale * np.prod(terms, 0).sum(1, keepdims=True)

    def penalty(self, factors):
        """The penalty."""
        if self.sides is not None:
            pairs = zip(self.sides, factors, strict=True)
            return self.strength * np.prod([norm_of(side, factor) for side, factor in pairs], 0).sum()
        if self.product:
            return self.strength * np.prod([np.sqrt((factor**2).sum(1)) for factor in factors], 0).sum()
        weights = self.counts if self.counted else [np.ones(n, self.kind) for n in self.shape]
        terms = zip(self.strengths, factors, weights, strict=True)
        return sum((s * (factor**2 * w).sum() for s, factor, w in terms), self.kind(0)) / 2

    def unobserved_squares(self, factors):
        """The squares of all entries of the matrix that are no samples, from the whole matrix."""
        whole = self.scale * factors[0].T @ factors[1]
        whole[tuple(self.places.T)] = 0
        return (whole**2).sum()

    def features(self, axis):
        """E of the biases of an axis."""
        return np.eye(self.shape[axis], dtype=self.kind)[self.places[:, axis]]

    def coefficients(self):
        """What an entry of W counts in Z where the penalty is λ times the sum of singular values of W."""
        roots = [np.sqrt(own[places]) for own, places in zip(self.counts, self.places.T, strict=True)]
        return self.scale / (np.prod(roots, 0) if self.counted else 1.0)


def fitted_value(stated):
    """The objective at a matrix W and biases found by accelerated proximal descent, for the squared error.

    The sum of singular values is the least penalty of factors of W (Srebro, Rennie and Jaakkola 2004). Of other norms
    nothing is known.
    """
    branch, omega = stated.branches[0], stated.omega[:, 0]
    if branch.sides is not None:
        return np.inf
    if len(branch.shape) > 2:
        return _fitted_tensor(stated)
    rows, columns = branch.places.T
    scale, goal = branch.coefficients(), (stated.targets - stated.offset)[:, 0]
    features = [stated.features(index) for index in range(len(stated.outside))]
    blocks = np.concatenate([*features, np.zeros((len(goal), 0))], 1)
    decays = np.concatenate([*(stated.decays(index) for index in range(len(features))), np.zeros(0)])
    gram = 2 * blocks.T @ (omega[:, None] * blocks) + np.diag(decays) + 1e-13 * np.eye(len(decays))
    weight = stated.unobserved
    unseen = np.ones(branch.shape)
    unseen[rows, columns] = 0
    steepest = 2 * max((omega * scale**2).max(), weight)
    if not 0 < steepest < np.inf or not np.isfinite(gram).all():
        return np.inf
    solve = np.linalg.pinv(gram, hermitian=True) @ (2 * blocks.T * omega)
    found, last, momentum, best = np.zeros(branch.shape), np.zeros(branch.shape), 1.0, np.inf
    for _ in range(STEPS):
        outputs = scale * found[rows, columns]
        biases = solve @ (goal - outputs)
        slope = 2 * weight * unseen * found
        slope[rows, columns] = 2 * omega * scale * (outputs + blocks @ biases - goal)
        left, values, right = np.linalg.svd(found - slope / steepest, full_matrices=False)
        kept = np.maximum(values - branch.strength / steepest, 0)
        new = (left * kept) @ right
        residual = goal - scale * new[rows, columns]
        own = solve @ residual
        value = (omega * (residual - blocks @ own) ** 2).sum() + branch.strength * kept.sum() + decays @ own**2 / 2
        value += weight * (unseen * new**2).sum()
        best = np.fmin(best, value)
        after = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        found, last, momentum = new + (momentum - 1) / after * (new - last), new, after
    return best


def _fitted_tensor(stated):
    """The objective at terms of a tensor found by quasi-Newton steps, for the squared error without parts outside."""
    branch, omega, goal = stated.branches[0], stated.omega[:, 0], (stated.targets - stated.offset)[:, 0]
    sizes, order = np.cumsum(branch.shape)[:-1], len(branch.shape)
    reach = np.sqrt(np.abs(goal).max() / max(abs(branch.scale), 1e-300)) if len(goal) else 0.0
    if stated.outside or not (np.isfinite(omega).all() and 0 < reach < np.inf and 0 < branch.strength < np.inf):
        return np.inf

    def factors_of(flat):
        return np.split(flat.reshape(RANK, -1), sizes, axis=1)

    def value_and_slope(flat):
        factors = factors_of(flat)
        terms = [factor.T[places] for factor, places in zip(factors, branch.places.T, strict=True)]
        rest = branch.scale * np.prod(terms, 0).sum(1) - goal
        norms = np.array([np.sqrt((factor**2).sum(1)) for factor in factors])
        value = (omega * rest**2).sum() + branch.penalty(factors)
        slopes = []
        for axis, factor in enumerate(factors):
            others = np.prod([term for at, term in enumerate(terms) if at != axis], 0)
            slope = np.zeros(factor.T.shape)
            np.add.at(slope, branch.places[:, axis], (2 * omega * rest * branch.scale)[:, None] * others)
            weights = branch.strength * np.prod(np.delete(norms, axis, 0), 0) / np.maximum(norms[axis], 1e-300)
            weights = weights if branch.product else np.full(RANK, branch.strengths[axis])
            slopes.append(slope.T + weights[:, None] * factor)
        return float(value), np.concatenate(slopes, 1).ravel()

    start = np.random.default_rng(0).standard_normal(RANK * sum(branch.shape)) * reach ** (2 / order)
    found = minimize(value_and_slope, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return branch.kind(value_and_slope(found.x)[0])
