"""Sums of branches with planted optimum: any slopes, convolutions and readouts, unequal decays, offset, biases, skip.

Planting as in `enumerated`: choose Q, let λ_b be the polar of every branch at Q, or more for some of them, take neurons
on maximizers where λ_b is the polar, put C where its gradient vanishes, and choose targets so that the gradient of the
loss there is −Q. The weights are balanced: (s₀ |u|² + s_b b²)/2 = s₁ |v|²/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from .ceilings import Branch, Stated
from .enumerated import polar_with_bias, targets_at
from .planted import Array
from .sketches import Sketch

Parameters = dict[str, Array]


@dataclass(frozen=True)
class Sum:
    """A problem, as a certificate states it, with its optimum up to the rounding of `polar_by_faces`.

    Attributes:
        statement: what is stated of it, numbers as floats.
        arrays: data, by name.
        parameters: an optimal network.
        optimum: its objective.
    """

    statement: dict
    arrays: dict[str, Array]
    parameters: Parameters
    optimum: float

    def objective(self, parameters: Parameters) -> float:
        """Of a network."""
        return float(Stated(self.statement, self.arrays).objective(parameters))


def planted_sum(rng: Generator, sketch: Sketch, loss: str) -> Sum:
    """One random problem of an architecture."""
    n, c = int(rng.integers(2, sketch.samples + 1)), int(rng.choice(sketch.outputs))
    c = sketch.shape[0] if sketch.offset else max(c, 2) if loss == "cross-entropy" else c
    branches = [_branch(rng, piece) for piece in sketch.pieces]
    arrays = {"X": rng.standard_normal((n, int(np.prod(sketch.shape)))), "Y": np.zeros((n, c))}
    outside = [_block(rng, kind, arrays["X"]) for kind in sketch.outside]
    scores = rng.standard_normal((n, c))
    scores = scores - scores.mean(1, keepdims=True) if loss == "cross-entropy" else scores
    scores = _without_free_parts(scores, arrays["X"], branches, outside)
    if rng.random() < 0.5:
        arrays["sample_weights"] = rng.uniform(0.2, 2.0, n)
    terms = {"name": loss, "reduction": str(rng.choice(["mean", "sum"])), "scale": float(10 ** rng.uniform(-1, 1))}
    statement = {
        "inputs": list(sketch.shape),
        "branches": branches,
        "outside": outside,
        "offset": "inputs" if sketch.offset else None,
        "loss": terms,
    }
    return _with_targets(rng, statement, arrays, scores, [piece.second * c for piece in sketch.pieces])


def _branch(rng: Generator, piece) -> dict:
    """A branch with decays whose geometric mean is 1."""
    ratio, own = (1.0 if rng.random() < 0.3 else float(2 ** rng.uniform(-2, 2)) for _ in range(2))
    bias = str(rng.choice(piece.biases))
    penalty = {"strengths": [ratio, 1 / ratio], "bias": ratio * own if bias == "penalized" else None}
    return {"layers": piece.layers, "bias": bias, "penalty": {"name": "weight-decay"} | penalty, "function": "identity"}


def _block(rng: Generator, features: str, inputs: Array) -> dict:
    """A block outside the branches, sometimes free; inputs only where there are so many samples that A ≠ 0 remains."""
    n, d = inputs.shape
    free = rng.random() < 0.5 and (features == "ones" or n >= d + 2)
    return {"features": features, "decay": 0.0 if free else float(10 ** rng.uniform(-1, 1))}


def _without_free_parts(scores: Array, inputs: Array, branches: list[dict], outside: list[dict]) -> Array:
    """Q without what free features see of it."""
    free = {block["features"] for block in outside if block["decay"] == 0}
    if any(branch["bias"] == "free" for branch in branches):
        free.add("ones")
    blocks = [values for kind, values in (("ones", np.ones((len(inputs), 1))), ("inputs", inputs)) if kind in free]
    features = np.column_stack([inputs[:, :0], *blocks])
    return scores - features @ np.linalg.lstsq(features, scores, rcond=None)[0] if features.size else scores


def _with_targets(rng: Generator, statement: dict, arrays: dict, scores: Array, sizes: list[int]) -> Sum:
    """Neurons on maximizers, C, and targets with ∇l = −t Q; all decays are multiplied by t."""
    stated, parameters = Stated(statement, arrays), {}
    polars, chosen = [], int(rng.integers(len(sizes)))
    for index, (branch, size) in enumerate(zip(stated.branches, sizes, strict=True)):
        value, unit, second = polar_of(branch, stated.inputs, scores, size)
        slack = 1.0 if index == chosen or rng.random() < 0.7 else 1 + float(rng.uniform(0, 1))
        level = 0.0 if slack > 1 else float(np.sqrt(10 ** rng.uniform(-1.5, 0.5)))
        first, bias, second = branch.balanced(unit, second[None])
        parameters |= {f"F{index}.0": level * first, f"F{index}.1": level * second}
        parameters |= {} if branch.bias == "absent" else {f"F{index}.bias": level * bias}
        polars.append(value * slack)
    for index, (_, decay) in enumerate(stated.outside):
        moment = stated.features(index).T @ scores
        parameters[f"C{index}"] = moment / decay if decay else rng.standard_normal(moment.shape)
    t, targets = targets_at(rng, stated.loss, stated.outputs(parameters), scores / stated.omega)
    branches = []
    for entry, value in zip(statement["branches"], polars, strict=True):
        penalty = entry["penalty"]
        own = {"strengths": [t * value * strength for strength in penalty["strengths"]]}
        own |= {"bias": None if penalty["bias"] is None else t * value * penalty["bias"]}
        branches.append(entry | {"penalty": penalty | own})
    outside = [block | {"decay": t * block["decay"]} for block in statement["outside"]]
    made = Sum(statement | {"branches": branches, "outside": outside}, arrays | {"Y": targets}, parameters, np.nan)
    return Sum(made.statement, made.arrays, parameters, made.objective(parameters))


def polar_of(branch: Branch, inputs: Array, scores: Array, size: int) -> tuple[float, tuple[Array, Array], Array]:
    """The polar of a branch at Q, a maximizing unit first weight with its bias, and the unit second weight."""
    rows, own = branch.layers.form(inputs, scores, size)
    if branch.bias == "penalized":
        rows = np.column_stack([rows, np.full(len(rows), branch.column)])
    if branch.layers.is_linear:
        left, values, _ = np.linalg.svd(rows.T @ own)
        value, direction = float(values[0]), left[:, 0]
        direction = np.append(direction, 0.0) if branch.bias == "free" else direction
    else:
        policy = "free" if branch.bias == "free" else "absent"
        value, slope, bias = polar_with_bias(rows, own, policy, branch.layers.slopes)
        direction = np.append(slope, bias) if policy == "free" else slope
    unit = branch.unit(direction)
    second = own.T @ branch.layers.activated(rows @ direction if branch.bias != "free" else rows @ unit[0][0] + unit[1])
    return value, unit, second / np.linalg.norm(second)
