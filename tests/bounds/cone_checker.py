"""A slow checker of cone trees that imports none of the bound or the search."""

import itertools
import math

import numpy as np
from scipy.optimize import nnls

from .exact_polars import RELU, kinked


def leaf_bound(X, Q, V, weights, free_axis, slopes, diagonals=None):
    """Bound of one cone: tangents at weights @ V, then the exact least-norm w, scaled until it is feasible."""
    n, d = X.shape
    magnitude = float(np.linalg.norm(Q, axis=1) @ np.abs(X).max(axis=1, initial=0)) * np.abs(slopes).sum()
    straight = slopes[1] * Q.T @ X @ V.T
    lengths = 0.0
    if diagonals is not None:
        magnitude += float(np.abs(slopes).max() * np.sqrt(diagonals @ np.abs(X).max(axis=1) ** 2).sum())
        lengths = np.sqrt(diagonals @ kinked(X @ V.T, slopes) ** 2).sum(0)
    Q = (slopes[0] - slopes[1]) * Q
    active = (X @ (weights @ V) > 0).astype(float)
    above_rows, below_rows = np.maximum(Q, 0), np.maximum(-Q, 0)
    at_generators = np.maximum(X @ V.T, 0)
    above = above_rows.T @ at_generators - (below_rows.T * active) @ X @ V.T + straight
    below = (above_rows.T * active) @ X @ V.T - below_rows.T @ at_generators + straight
    middle, radius = (above + below) / 2, (above - below) / 2
    signed = Q.shape[1] == 1 and diagonals is None
    values = above[0] if signed else np.linalg.norm(middle, axis=0) + np.linalg.norm(radius, axis=0) + lengths
    values = values + 16 * (n + d + 5) * 2.0**-53 * magnitude
    normed = V.copy()
    if free_axis is not None:
        normed[:, free_axis] = 0.0
        values = np.where(np.abs(V[:, free_axis]) == 1.0, 0.0, values)
    if (values <= 0).all():
        return 0.0
    scale = values.max()
    padded = values / scale + 1e-13 * (np.abs(normed).sum(1) > 0)
    coefficients = nnls(np.vstack([normed.T, padded]), np.append(np.zeros(d), 1.0), maxiter=50 * d)[0]
    w = normed.T @ coefficients
    reach = normed @ w - 2 * d * 2.0**-53 * (np.abs(normed) @ np.abs(w))
    if (reach[values > 0] <= 0).any():
        return math.inf
    factor = (values[values > 0] / reach[values > 0]).max()
    if (factor * reach < values - 1e-15 * np.abs(values)).any():
        return math.inf
    return float(factor * np.linalg.norm(w))


def check_tree(X, Q, tree, slopes=RELU):
    """Walk the preorder list and return the largest leaf bound; ValueError if the list is not a full cover."""
    if tree.signs != ((1, -1) if Q.shape[1] == 1 else (1,)):
        raise ValueError("a sign of Q is not covered")
    return check_sides(X, [(sign * Q, None) for sign in tree.signs], tree, slopes)


def check_sides(X, sides, tree, slopes=RELU):
    """The same for pairs of columns and diagonals, each with roots of its own."""
    d = tree.dimension
    pairs = list(itertools.combinations(range(d), 2))
    splits, tangents = iter(tree.splits.tolist()), iter(tree.tangents.astype(float))
    weights = [part for Q, D in sides for part in (Q, *(() if D is None else (np.sqrt(D),)))]
    row_unit, weight_unit = (
        2.0 ** np.frexp(max(np.abs(a).max(initial=0) for a in arrays))[1] for arrays in ([X], weights)
    )
    X, worst = X / row_unit, 0.0
    for Q, D in sides:
        own = Q / weight_unit, None if D is None else D / weight_unit**2
        for root in range(2**d):
            stack = [np.diag([-1.0 if root >> k & 1 else 1.0 for k in range(d)])]
            while stack:
                V = stack.pop()
                edge = next(splits, None)
                if edge is None:
                    raise ValueError("the tree ends early")
                if edge == 0:
                    worst = max(worst, leaf_bound(X, own[0], V, next(tangents), tree.free_axis, slopes, own[1]))
                    continue
                i, j = pairs[edge - 1]
                middle = (V[i] + V[j]) / 2
                if not ((2 * middle - V[i] == V[j]).all() and (2 * middle - V[j] == V[i]).all()):
                    raise ValueError("a midpoint is not exact")
                left, right = V.copy(), V.copy()
                left[i], right[j] = middle, middle
                stack += [right, left]
    if next(splits, None) is not None or next(tangents, None) is not None:
        raise ValueError("the tree has nodes left over")
    return worst * row_unit * weight_unit
