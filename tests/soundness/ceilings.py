"""What a certificate states, evaluated without certify: the objective of its network, and upper bounds on its optimum.

A ceiling is the objective of some network, so that no true lower bound exceeds it: the network in the certificate, the
zero network, known networks at many sizes, and for the squared error a fit of many neurons by group coordinate descent.
"""

from __future__ import annotations

import numpy as np

from .two_layers import loss_terms

SIZES = 2.0 ** np.arange(-12, 13, 0.5)
NEURONS, SWEEPS = 20, 30


class Stated:
    """The problem that a header and arrays state; W1 (r, d), b1 (r), W2 (c, r), b2 (c) are taken as arguments."""

    def __init__(self, header, arrays, kind=np.float64):
        problem, self.kind = header["problem"], kind
        self.family, self.loss = problem["family"], problem["loss"]
        self.strength, scale = (kind(float.fromhex(problem[key])) for key in ("strength", "scale"))
        self.hidden, self.output = problem["hidden_bias"], problem["output_bias"]
        self.product = problem["penalty"] == "product-of-norms"
        self.inputs, self.targets = arrays["X"].astype(kind), arrays["Y"].astype(kind)
        observed = arrays.get("mask", np.ones(self.targets.shape)).astype(kind)
        rows = len(observed) if self.loss == "cross-entropy" else observed.sum()
        weights = arrays.get("sample_weights", np.ones(len(observed))).astype(kind)
        self.omega = observed * (weights[:, None] * (scale / (rows if problem["reduction"] == "mean" else 1)))

    def activations(self, first, bias):
        """σ(X W1ᵀ + b1), (n, r)."""
        t = self.inputs @ first.T + bias
        return {"linear": t, "relu": np.maximum(t, 0), "quadratic": t * t}[self.family]

    def penalty(self, first, bias, second, output):
        """The penalty."""
        squares = (first**2).sum(1) + (bias**2 if self.hidden == "penalized" else 0)
        if self.product:
            powers = squares if self.family == "quadratic" else np.sqrt(squares)
            return self.strength * (powers * np.sqrt((second**2).sum(0))).sum()
        outside = (output**2).sum() if self.output == "penalized" else 0
        return self.strength / 2 * (squares.sum() + (second**2).sum() + outside)

    def objective(self, first, bias, second, output):
        """Loss and penalty."""
        omega = self.omega[:, :1] if self.loss == "cross-entropy" else self.omega
        with np.errstate(all="ignore"):
            z = self.activations(first, bias) @ second.T + output
            loss = (omega * loss_terms(self.loss, z, self.targets)).sum()
            return loss + self.penalty(first, bias, second, output)


def parameters(arrays, kind=np.float64):
    """W1, b1, W2 and b2 of a certificate, zeros where there are none."""
    first, second = arrays["W1"].astype(kind), arrays["W2"].astype(kind)
    bias, output = arrays.get("b1", np.zeros(len(first))), arrays.get("b2", np.zeros(len(second)))
    return first, bias.astype(kind), second, output.astype(kind)


def ceiling(header, arrays, known):
    """An upper bound on the optimum of what is stated.

    Args:
        header: of a certificate.
        arrays: of a certificate.
        known: parameters of a network that was optimal before the certificate was forged.
    """
    stated = Stated(header, arrays)
    own, (first, bias, second, output) = parameters(arrays), known
    candidates = [own, tuple(0 * value for value in own), (*(0 * v for v in known[:3]), output)]
    candidates += [(size * first, size * bias, other * second, output) for size in SIZES for other in (1.0, size)]
    best = np.nanmin([stated.objective(*candidate) for candidate in candidates])
    if stated.loss == "mse" and (stated.hidden != "free" or stated.inputs.shape[1] == 1):
        with np.errstate(all="ignore"):
            best = np.fmin(best, _fitted(stated, known))
    return float(best)


def _fitted(stated, known):
    """Group coordinate descent on many unit neurons: min Σ ω |Φ C + b − Y|² + λ Σ |C_k|."""
    first, bias = _neurons(stated, known)
    phi, c = stated.activations(first, bias), stated.targets.shape[1]
    output, out, row = np.zeros(c), np.zeros((len(first), c)), stated.omega.mean(1, keepdims=True)
    if not np.allclose(row, stated.omega, rtol=1e-15, atol=0):
        return np.inf
    residual = stated.targets.copy()
    squares = (phi * row * phi).sum(0)
    ridge = {"absent": np.inf, "penalized": stated.strength / 2, "free": 0.0}[stated.output]
    for _ in range(SWEEPS):
        for k in np.flatnonzero(squares > 0):
            pull = (phi[:, k : k + 1] * row * residual).sum(0) + squares[k] * out[k]
            size = np.linalg.norm(pull)
            new = pull * max(0.0, 1 - stated.strength / 2 / size) / squares[k] if size > 0 else 0 * pull
            residual -= phi[:, k : k + 1] * (new - out[k])
            out[k] = new
        new = (row * (residual + output)).sum(0) / (row.sum() + ridge)
        residual, output = residual - (new - output), new
    sizes = np.linalg.norm(out, axis=1)
    inner = sizes ** (1 / 3 if stated.family == "quadratic" else 1 / 2)
    second = np.where(inner > 0, out.T / inner ** (2 if stated.family == "quadratic" else 1), 0.0)
    return stated.objective(first * inner[:, None], bias * inner, second, output)


def _neurons(stated, known):
    """Unit directions: known ones, samples, right singular vectors and random ones; kinks at samples if free."""
    rng, d = np.random.default_rng(0), stated.inputs.shape[1]
    if stated.hidden == "free":
        slopes = np.repeat([[1.0], [-1.0]], len(stated.inputs), 0)
        return slopes, -slopes[:, 0] * np.tile(stated.inputs[:, 0], 2)
    own, inputs = known[0], stated.inputs
    biased = stated.hidden == "penalized"
    if biased:
        own, inputs = np.column_stack([own, known[1]]), np.column_stack([inputs, np.ones(len(inputs))])
    principal = np.linalg.svd(inputs.T @ stated.targets)[0].T
    rows = np.concatenate([own, inputs, -inputs, principal, -principal, rng.standard_normal((NEURONS, d + biased))])
    sizes = np.linalg.norm(rows, axis=1)
    rows = rows[sizes > 0] / sizes[sizes > 0, None]
    return (rows[:, :-1], rows[:, -1]) if biased else (rows, np.zeros(len(rows)))
