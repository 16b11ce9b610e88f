"""Sections 2 and 3: a problem with the network in the file, and the weights of its loss."""

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from .branch import Branch, branch_of
from .container import Shapes
from .exact import Matrix, product, rational, zeros
from .rejection import afford, require
from .schema import number


class Part(NamedTuple):
    """E, C and μ of a part outside."""

    name: str
    features: Matrix
    weights: Matrix
    decay: Fraction


class Statement(NamedTuple):
    """X, Y, ω (n, c), and what the network is made of."""

    inputs: Matrix
    targets: Matrix
    weights: Matrix
    branches: list[Branch]
    outside: list[Part]
    offset: Matrix | None

    @property
    def has_free_ones(self) -> bool:
        """Rule 21: columns of the dual point sum to zero."""
        free = any(branch.bias == "free" for branch in self.branches)
        return free or any(part.name == "ones" and part.decay == 0 for part in self.outside)

    @property
    def has_free_inputs(self) -> bool:
        return any(part.name == "inputs" and part.decay == 0 for part in self.outside)

    def outputs(self) -> Matrix:
        result = zeros(*self.targets.shape) if self.offset is None else self.offset
        for branch in self.branches:
            result = result + branch.outputs(len(result))
        for part in self.outside:
            result = result + product(part.features, part.weights)
        return result


def statement_of(stated: dict[str, Any], shapes: Shapes) -> Statement:
    """The problem, with the parameters in the file."""
    width = math.prod(stated["inputs"])
    floats = shapes.take("X", None, width)
    samples = len(floats)
    targets = rational(shapes.take("Y", samples, None))
    outputs = targets.shape[1]
    require(samples >= 1 and outputs >= 1, "shape")
    sample_weights = shapes.take("sample_weights", samples) if stated["sample_weights"] else np.ones(samples)
    mask = shapes.take("mask", samples, outputs, dtype="|u1") if stated["mask"] else None
    afford(20 * floats.size)
    inputs, offset = rational(floats), None
    if stated["offset"] == "inputs":
        require(outputs == width, "shape")
        offset = inputs
    elif stated["offset"] == "array":
        offset = rational(shapes.take("offset", samples, outputs))
    branches, outside = [], []
    for at, branch in enumerate(stated["branches"]):
        branches.append(branch_of(branch, f"F{at}", inputs, stated["inputs"], outputs, shapes))
    for at, part in enumerate(stated["outside"]):
        features = inputs if part["features"] == "inputs" else 1 + zeros(samples, 1)
        require(number(part["decay"]) >= 0, "strength")
        weights = rational(shapes.take(f"C{at}", features.shape[1], outputs))
        outside.append(Part(part["features"], features, weights, number(part["decay"])))
    weights = weights_of(stated["loss"], targets, sample_weights, mask)
    return Statement(inputs, targets, weights, branches, outside, offset)


def weights_of(
    loss: dict[str, Any], targets: Matrix, sample_weights: np.ndarray[Any, Any], mask: np.ndarray[Any, Any] | None
) -> Matrix:
    """ω, rule 15."""
    scale, crossed = number(loss["scale"]), loss["name"] == "cross-entropy"
    require(scale > 0, "scale")
    require(np.all(sample_weights >= 0), "sample-weights")
    weights = scale * rational(sample_weights)[:, None] + zeros(*targets.shape)
    observed = targets.size
    if mask is not None:
        require(not crossed and np.all(mask <= 1) and np.any(mask), "mask")
        observed = int(mask.sum(dtype=np.int64))
        weights = np.where(mask == 1, weights, zeros(*targets.shape))
    averaged: Matrix = weights / (len(targets) if crossed else observed)
    return averaged if loss["reduction"] == "mean" else weights
