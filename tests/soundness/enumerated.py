"""ReLU problems of any number of outputs with planted optimum: the polar at the dual point is found by enumeration.

A maximizer of |Qᵀσ(Xu)| over |u| ≤ 1, σ with two slopes, lies inside a face, a flat {x_i·u = 0, i in S} with one sign
pattern. There the objective is a quadratic form, and the maximizer is a top singular direction of Qᵀ D X restricted to
the flat. All S and all patterns are tried, so no cell can be missed; what is kept has the signs that it should have,
and is attained.

With a free bias some kink may be put at a sample s without loss (the norm is convex along the bias and constant far
out), and the polar is the largest one of the inputs x_i − x_s without a bias.

Planting: choose Q and weights on maximizers of the polar, let λ be the polar, and choose targets so that the gradient
of the loss at these weights is −Q. Then the dual value at −Q is the objective: both are optimal.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from .planted import Array
from .two_layers import TwoLayers, Weights, targets_with_gradient

FREE_TARGETS = ("mse", "huber", "binary-cross-entropy", "poisson", "cross-entropy")
SIGN_ERROR = 1e-12


@dataclass(frozen=True)
class Enumerated:
    """A problem with its optimum, up to the rounding of `polar_by_faces`."""

    problem: TwoLayers
    weights: Weights
    optimum: float


def polar_by_faces(inputs: Array, scores: Array, slopes: tuple[float, float] = (1.0, 0.0)) -> tuple[float, Array]:
    """max |Qᵀσ(Xu)|₂ over |u| ≤ 1, and a maximizer; slopes of σ above and below 0."""
    (n, d), best = inputs.shape, (0.0, np.eye(inputs.shape[1])[0])
    sizes = np.linalg.norm(inputs, axis=1)
    patterns = np.array(list(itertools.product((0.0, 1.0), repeat=n)))
    steep = np.where(patterns == 1, *slopes)
    for count in range(d):
        for chosen in itertools.combinations(range(n), count):
            basis = np.eye(d)
            if chosen:
                _, values, right = np.linalg.svd(inputs[list(chosen)])
                if values[-1] <= SIGN_ERROR * values[0]:
                    continue
                basis = right[count:].T
            rows = inputs @ basis
            rows[list(chosen)] = 0.0
            _, values, right = np.linalg.svd(np.einsum("nc,pn,nm->pcm", scores, steep, rows))
            top = right[:, 0] if right.shape[1] else np.zeros((len(patterns), basis.shape[1]))
            for sign in (1.0, -1.0):
                signed = sign * (2 * patterns - 1) * (top @ rows.T)
                kept = (signed >= -SIGN_ERROR * sizes).all(1)
                if kept.any() and values[kept, 0].max() > best[0]:
                    place = int(np.flatnonzero(kept)[values[kept, 0].argmax()])
                    best = float(values[place, 0]), sign * basis @ top[place]
    return best


def polar_with_bias(
    inputs: Array, scores: Array, hidden: str, slopes: tuple[float, float] = (1.0, 0.0)
) -> tuple[float, Array, float]:
    """The polar under a policy of the hidden bias, with a maximizing weight and bias."""
    if hidden == "absent":
        return *polar_by_faces(inputs, scores, slopes), 0.0
    if hidden == "penalized":
        value, both = polar_by_faces(np.column_stack([inputs, np.ones(len(inputs))]), scores, slopes)
        return value, both[:-1], float(both[-1])
    found = [(*polar_by_faces(inputs - kink, scores, slopes), kink) for kink in inputs]
    value, slope, kink = max(found, key=lambda item: item[0])
    return value, slope, -float(kink @ slope)


def enumerated_instance(
    rng: Generator, loss: str, hidden: str, output: str, outputs: int, width: int | None = None
) -> Enumerated:
    """One random problem with n ≤ 6 samples, at most 3 inputs with the bias, and an optimum of one or two neurons.

    A `width` of inputs is as many, twice that where there are two blocks, and n ≤ 8.
    """
    d = int(rng.integers(1, 4 - (hidden != "absent"))) if width is None else width
    blocks = 2 if outputs > 1 and loss != "cross-entropy" and rng.random() < 0.4 and hidden == "absent" else 1
    inputs, scores, atoms = _blocks(rng, d, hidden, output, outputs, blocks, loss)
    n = len(inputs)
    sample_weights = rng.uniform(0.2, 2.0, n) if rng.random() < 0.5 else None
    frame = TwoLayers(
        inputs,
        np.zeros((n, outputs)),
        loss,
        str(rng.choice(["mean", "sum"])),
        float(10 ** rng.uniform(-1, 1)),
        1.0,
        hidden,
        output,
        sample_weights,
    )
    value = max(atom[0] for atom in atoms)
    neurons = []
    for _, slope, bias in atoms:
        active = np.maximum(inputs @ slope + bias, 0)
        neurons.append((slope, bias, scores.T @ active / np.linalg.norm(scores.T @ active)))
    sizes = np.sqrt(10 ** rng.uniform(-1.5, 0.5, len(neurons)))
    weights = Weights(
        np.array([size * slope for size, (slope, _, _) in zip(sizes, neurons, strict=True)]),
        np.array([size * bias for size, (_, bias, _) in zip(sizes, neurons, strict=True)]),
        np.array([size * out for size, (_, _, out) in zip(sizes, neurons, strict=True)]),
        _output_bias(rng, output, scores, value),
    )
    return _with_targets(rng, frame, scores, value, weights)


def _blocks(
    rng: Generator, d: int, hidden: str, output: str, outputs: int, blocks: int, loss: str
) -> tuple[Array, Array, list[tuple[float, Array, float]]]:
    """Inputs, Q and maximizers; two blocks have inputs and outputs of their own and the same polar."""
    parts = []
    for block in range(blocks):
        most = max(7, min(d + 3, 9)) if blocks == 1 else 5
        n, c = int(rng.integers(2, most)), outputs if blocks == 1 else (1, outputs - 1)[block]
        inputs, scores = rng.standard_normal((n, d)), rng.standard_normal((n, c))
        scores = scores - scores.mean(1, keepdims=True) if loss == "cross-entropy" else scores
        scores = scores - scores.mean(0) if "free" in (hidden, output) else scores
        parts.append((inputs, scores, polar_with_bias(inputs, scores, hidden)))
    if blocks == 1:
        inputs, scores, atom = parts[0]
        return inputs, scores, [atom]
    (x, q, (one, u, _)), (x2, q2, (two, u2, _)) = parts
    inputs = np.block([[x, np.zeros((len(x), d))], [np.zeros((len(x2), d)), x2]])
    scores = np.block([[q / one, np.zeros((len(x), q2.shape[1]))], [np.zeros((len(x2), 1)), q2 / two]])
    turns = (np.linalg.qr(rng.standard_normal((size, size)))[0] for size in (2 * d, outputs))
    turn, mix = turns
    order = rng.permutation(len(inputs))
    atoms = [(1.0, np.concatenate([u, 0 * u]) @ turn, 0.0), (1.0, np.concatenate([0 * u2, u2]) @ turn, 0.0)]
    return (inputs @ turn)[order], (scores @ mix)[order], atoms


def _output_bias(rng: Generator, policy: str, scores: Array, strength: float) -> Array:
    match policy:
        case "free":
            return rng.standard_normal(scores.shape[1])
        case "penalized":
            return scores.sum(0) / strength
        case _:
            return np.zeros(scores.shape[1])


def _with_targets(rng: Generator, frame: TwoLayers, scores: Array, value: float, weights: Weights) -> Enumerated:
    """Targets with ∇l = −t Q at the weights, and λ = t Ω°(Q), t as large as the loss allows or less."""
    size, targets = targets_at(rng, frame.loss, frame.outputs(weights), scores / frame.omega())
    problem = replace(frame, targets=targets, strength=size * value)
    return Enumerated(problem, weights, problem.objective(weights))


def targets_at(rng: Generator, loss: str, z: Array, slopes: Array) -> tuple[float, Array]:
    """A random t, and targets with ∂l0/∂z = −t slopes at z."""
    if loss in ("mse", "huber"):
        room = np.inf if loss == "mse" else 1 / np.abs(slopes).max()
    else:
        start, top = targets_with_gradient(loss, z, 0 * z), 1.0 if loss == "binary-cross-entropy" else np.inf
        with np.errstate(divide="ignore"):
            limits = np.where(slopes < 0, -start / slopes, np.where(slopes > 0, (top - start) / slopes, np.inf))
        room = float(limits.min())
    size = float(min(room * rng.uniform(0.1, 0.999), 10 ** rng.uniform(-2, 1)))
    return size, targets_with_gradient(loss, z, size * slopes)
