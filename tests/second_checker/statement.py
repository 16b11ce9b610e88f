"""Sections 2 and 3: a problem with the network in the file, and the weights of its loss."""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .branch import Branch, Stated, branch_of
from .container import Floats, Shapes
from .exact import Matrix, product, rational, zeros
from .rejection import afford, require
from .schema import number


class Statement(NamedTuple):
    """X, Y, ω (n, c), branches, E, C and μ of parts outside, the offset, and which features are free of a penalty."""

    inputs: Matrix
    targets: Matrix
    weights: Matrix
    branches: list[Branch]
    outside: list[tuple[Matrix, Matrix, Fraction]]
    offset: Matrix
    free: set[str]

    def outputs(self) -> Matrix:
        result = self.offset
        for branch in self.branches:
            result = result + branch.outputs(len(result))
        for features, weights, _ in self.outside:
            result = result + product(features, weights)
        return result


def statement_of(stated: Stated, shapes: Shapes) -> Statement:
    floats = shapes.take("X", None, math.prod(stated["inputs"]))
    samples = len(floats)
    targets = rational(shapes.take("Y", samples, None))
    outputs = targets.shape[1]
    require(samples >= 1 and outputs >= 1, "shape")
    sample_weights = shapes.take("sample_weights", samples) if stated["sample_weights"] else np.ones(samples)
    mask = shapes.take("mask", samples, outputs, dtype="|u1") if stated["mask"] else np.ones(targets.shape)
    afford(20 * floats.size)
    inputs = rational(floats)
    given = shapes.take("offset", samples, outputs) if stated["offset"] == "array" else np.zeros(targets.shape)
    offset = inputs if stated["offset"] == "inputs" else rational(given)
    require(offset.shape == targets.shape, "shape")
    free = {"ones" for branch in stated["branches"] if branch["bias"] == "free"}
    branches, outside = [], []
    for at, branch in enumerate(stated["branches"]):
        branches.append(branch_of(branch, f"F{at}", inputs, stated["inputs"], outputs, shapes))
    for at, part in enumerate(stated["outside"]):
        features, decay = inputs if part["features"] == "inputs" else 1 + zeros(samples, 1), number(part["decay"])
        require(decay >= 0, "strength")
        weights = rational(shapes.take(f"C{at}", features.shape[1], outputs))
        outside.append((features, weights, decay))
        free |= set() if decay else {part["features"]}
    weights = weights_of(stated, sample_weights, mask)
    return Statement(inputs, targets, weights, branches, outside, offset, free)


def weights_of(stated: Stated, sample_weights: Floats, mask: Floats) -> Matrix:
    """ω, rule 15."""
    loss, crossed = stated["loss"], stated["loss"]["name"] == "cross-entropy"
    require(number(loss["scale"]) > 0, "scale")
    require(np.all(sample_weights >= 0), "sample-weights")
    require(np.all(mask <= 1) and np.any(mask) and not (stated["mask"] and crossed), "mask")
    weights: Matrix = number(loss["scale"]) * rational(sample_weights)[:, None] * rational(mask)
    averaged: Matrix = weights / (len(mask) if crossed else int(mask.sum(dtype=np.int64)))
    return averaged if loss["reduction"] == "mean" else weights
