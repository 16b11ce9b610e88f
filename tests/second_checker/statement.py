"""Sections 2 and 3: a problem with the network in the file, and the weights of its loss."""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .branch import Branch, Stated, branch_of
from .container import Floats, Shapes
from .deep import DeepBranch, deep_branch
from .entries import EntryBranch, entry_branch
from .exact import Matrix, product, rational, zeros
from .layers import geometry_of
from .rejection import afford, require
from .schema import is_of_entries, number


class Part(NamedTuple):
    """A part outside: `features`, E, C, and μ of every row of C."""

    name: str
    features: Matrix
    weights: Matrix
    decays: list[Fraction]


class Statement(NamedTuple):
    """X, Y, ω (n, c), branches, parts outside, the offset, and which features are free of a penalty."""

    inputs: Matrix
    targets: Matrix
    weights: Matrix
    branches: list[Branch | DeepBranch | EntryBranch]
    outside: list[Part]
    offset: Matrix
    free: set[str]

    def outputs(self) -> Matrix:
        result = self.offset
        for branch in self.branches:
            result = result + branch.outputs(len(result))
        for part in self.outside:
            result = result + product(part.features, part.weights)
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
    branches, outside = list[Branch | DeepBranch | EntryBranch](), []
    places = is_of_entries(stated)
    for at, branch in enumerate(stated["branches"]):
        if places:
            require(stated["inputs"] == [len(branch["layers"][0]["shape"])], "layers")
            branches.append(entry_branch(branch, f"F{at}", inputs, outputs, shapes))
        else:
            tied = branch["layers"][-1:] == [{"op": "transposed"}]
            geometry = geometry_of([{"op": "linear"}] * 2 if tied else branch["layers"], stated["inputs"])
            made = deep_branch if geometry.hops else branch_of
            branches.append(made(branch, geometry, f"F{at}", inputs, outputs, shapes))
    for at, part in enumerate(stated["outside"]):
        features, shares = features_of(part["features"], inputs, branches[0] if places else None)
        decay = number(part["decay"])
        require(decay >= 0, "strength")
        weights = rational(shapes.take(f"C{at}", features.shape[1], outputs))
        outside.append(Part(part["features"], features, weights, [decay * share for share in shares]))
        free |= set() if decay else {part["features"]}
    weights = weights_of(stated, sample_weights, mask)
    return Statement(inputs, targets, weights, branches, outside, offset, free)


def features_of(
    name: str, inputs: Matrix, branch: Branch | DeepBranch | EntryBranch | None
) -> tuple[Matrix, list[int]]:
    """E, and how often its columns count in the penalty."""
    ones = 1 + zeros(len(inputs), 1)
    if name in ("ones", "inputs"):
        features = ones if name == "ones" else inputs
        return features, [1] * features.shape[1]
    axis = int(name[-1])
    assert isinstance(branch, EntryBranch)
    afford(inputs.shape[0] * branch.shape[axis])
    features = zeros(len(inputs), branch.shape[axis])
    features[range(len(inputs)), inputs[:, axis].astype(int)] = Fraction(1)
    return features, branch.counts[axis] if name.startswith("counted") else [1] * branch.shape[axis]


def weights_of(stated: Stated, sample_weights: Floats, mask: Floats) -> Matrix:
    """ω, rule 15."""
    loss, crossed = stated["loss"], stated["loss"]["name"] == "cross-entropy"
    require(number(loss["scale"]) > 0, "scale")
    require(np.all(sample_weights >= 0), "sample-weights")
    require(np.all(mask <= 1) and np.any(mask) and not (stated["mask"] and crossed), "mask")
    weights: Matrix = number(loss["scale"]) * rational(sample_weights)[:, None] * rational(mask)
    averaged: Matrix = weights / (len(mask) if crossed else int(mask.sum(dtype=np.int64)))
    return averaged if loss["reduction"] == "mean" else weights
