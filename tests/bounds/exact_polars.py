"""Exact polars of rows and values of it, and awkward problems; nothing here is shared with the search."""

import itertools

import numpy as np
from scipy.optimize import lsq_linear

# Slopes above and below the kink.
RELU = (1.0, 0.0)


def exact_by_subsets(X, q):
    """max over subsets D of the positive rows of a bounded least-squares distance; both signs; any degeneracy."""
    best = 0.0
    for sign in (1.0, -1.0):
        positive, negative = X[sign * q > 0], X[sign * q < 0]
        up, down = np.abs(q[sign * q > 0]), np.abs(q[sign * q < 0])
        columns = (negative * down[:, None]).T
        for chosen in itertools.product((0.0, 1.0), repeat=len(up)):
            goal = (np.array(chosen) * up) @ positive
            if columns.shape[1]:
                goal = goal - columns @ lsq_linear(columns, goal, (0, 1), method="bvls", tol=1e-14).x
            best = max(best, float(np.linalg.norm(goal)))
    return best


def exact_on_circle(X, Q, slopes=RELU):
    """Rank 2: every arc between kinks has a linear map whose top singular vector is compared if inside the arc."""
    kinks = np.concatenate([np.arctan2(X[:, 0], -X[:, 1]), np.arctan2(-X[:, 0], X[:, 1])])
    kinks = np.sort(np.concatenate([kinks, [0.0, 2.0]]) % (2 * np.pi))
    best = 0.0
    for start, end in zip(kinks, np.append(kinks[1:], kinks[0] + 2 * np.pi), strict=True):
        middle = (start + end) / 2
        active = X @ [np.cos(middle), np.sin(middle)] > 0
        linear = (Q * np.where(active, *slopes)[:, None]).T @ X
        top = np.linalg.svd(linear)[2][0]
        angles = [start, end]
        turn = np.arctan2(top[1], top[0])
        angles += [a for k in range(-2, 4) if start <= (a := turn + k * np.pi) <= end]
        best = max(best, *(float(np.linalg.norm(linear @ [np.cos(a), np.sin(a)])) for a in angles))
    return best


def kinked(t, slopes=RELU):
    return slopes[0] * np.maximum(t, 0) + slopes[1] * np.minimum(t, 0)


def value(X, Q, u, slopes=RELU):
    return np.linalg.norm(Q.T @ kinked(X @ u, slopes), axis=0)


def best_of_many_directions(X, Q, rng, free_axis=None, slopes=RELU):
    """A lower bound on the polar: random and kink directions."""
    d = X.shape[1]
    U = np.concatenate([rng.standard_normal((d, 4000)), X.T, -X.T, np.eye(d), -np.eye(d)], axis=1)
    if free_axis is not None:
        U = np.concatenate([U, U], axis=1)
        U[free_axis] *= rng.lognormal(0, 1, U.shape[1])
    normed = U if free_axis is None else np.delete(U, free_axis, axis=0)
    norms = np.linalg.norm(normed, axis=0)
    keep = norms > 1e-9
    return float(np.max(value(X, Q, U[:, keep], slopes) / norms[keep], initial=0.0))


def degenerate(X, Q, kind, rng):
    """Make a random problem awkward."""
    n = len(X)
    if kind == "duplicates":
        X[n // 2 :] = X[: n - n // 2]
    elif kind == "zero rows":
        X[::3] = 0
    elif kind == "parallel":
        X[1::2] = -2.5 * X[: len(X[1::2])]
    elif kind == "grid":
        X[:] = rng.integers(-1, 2, X.shape)
        Q[:] = rng.integers(-2, 3, Q.shape)
    elif kind == "scales":
        X *= 10.0 ** rng.integers(-8, 9, (n, 1))
        Q *= 10.0 ** rng.integers(-8, 9, (n, 1))
    elif kind == "columns":
        X *= 10.0 ** np.linspace(3, -5, X.shape[1])
    elif kind == "one sign":
        Q[:] = np.abs(Q)
    elif kind == "cancel":
        X[1] = X[0] * (1 + 1e-15)
        Q[0], Q[1] = 1e10, -1e10
    elif kind == "zero":
        Q[:] = 0
    elif kind == "tiny":
        X *= 1e-90
        Q *= 1e-45
    return X, Q


KINDS = ["plain", "duplicates", "zero rows", "parallel", "grid", "scales", "columns", "one sign", "cancel", "zero"]


def draw(seed, n, d, c, kind):
    rng = np.random.default_rng(seed)
    return (*degenerate(rng.standard_normal((n, d)), rng.standard_normal((n, c)), kind, rng), rng)
