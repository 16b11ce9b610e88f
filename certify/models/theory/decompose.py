"""A model as a parallel network Z_0 + Σ_b Σ_i φ_b(W_bi) + E C, and back.

Factors are flattened weights, with the hidden bias as last entry of the first one where φ keeps it. E holds, in this
order: ones for each output bias, ones for the constant that a free hidden bias of a linear network adds, and the inputs
for each linear skip. Free output biases are one: their sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, final

import torch
from torch import Tensor
from torch.nn import functional

from certify.errors import CertifyError, RefusedError, UnsupportedError, UsageError
from certify.models.graph.layers import Layer, LayerGraph
from certify.models.theory.bias_policy import BiasPolicy, Conventions, resolve_policy
from certify.models.theory.branches import ModelBranch, model_branches
from certify.models.theory.decays import Charge, Decays
from certify.models.theory.standing import Layout, require_layout
from certify.problem import Branch, ConvexPart, Objective, ParallelNetwork
from certify.problem.architecture import Dense

# Largest accepted difference of the two forward passes, as a share of the same pass over absolute values.
FORWARD_TOLERANCE = 1e-12

Role = Literal["output-bias", "constant", "skip"]


@final
@dataclass(frozen=True, slots=True)
class Block:
    """Some columns of E.

    Attributes:
        role: what they are.
        ridge: μ of each of their rows of coefficients; 0 for free.
        parameters: names of the parameters whose sum the coefficients are.
    """

    role: Role
    ridge: float
    parameters: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Decomposition:
    """A model in the form that the theory speaks of.

    Attributes:
        layout: which layers hold what.
        conventions: what the problem said of biases and skip.
        charge: what the problem said of the penalty.
        policy: what is penalized.
        branches: of subnetworks.
        blocks: the columns of E.
        network: factors and coefficients; without columns in E the number of outputs may still be open, see `on`.
    """

    layout: Layout
    conventions: Conventions
    charge: Charge
    policy: BiasPolicy
    branches: tuple[ModelBranch, ...]
    blocks: tuple[Block, ...]
    network: ParallelNetwork

    @property
    def family(self) -> str:
        """Names of the kinds, as reports show them."""
        return " + ".join(dict.fromkeys(sort.family for sort in self.layout.sorts)) or "single-layer"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user may want to know."""
        return self.layout.notes

    @property
    def degree(self) -> int:
        """Largest degree of homogeneity of the subnetworks; of a single layer, that of a network in its place."""
        return max((branch.neuron.kind.degree for branch in self.branches), default=2)

    def branches_on(self, inputs: Tensor) -> tuple[Branch, ...]:
        """The branches of the objective, for inputs (n, …)."""
        flat, shape = inputs.flatten(1), tuple(inputs.shape[1:])
        return tuple(branch.branch(flat, shape) for branch in self.branches)

    def convex_part(self, inputs: Tensor) -> ConvexPart:
        """E and μ for inputs (n, …)."""
        flat = inputs.flatten(1)
        ones = flat.new_ones(len(flat), 1)
        columns = [flat if block.role == "skip" else ones for block in self.blocks]
        ridge = [block.ridge for block, part in zip(self.blocks, columns, strict=True) for _ in range(part.shape[1])]
        return ConvexPart(torch.cat([flat[:, :0], *columns], 1), flat.new_tensor(ridge))

    def offset(self, inputs: Tensor) -> Tensor | None:
        """Z_0 for inputs (n, …)."""
        outside, flat = self.layout.outside, inputs.flatten(1)
        parts = [flat] if outside.identity else []
        for layer in outside.fixed:
            held = (self.layout.graph.weight(layer), self.layout.graph.bias(layer))
            weight, bias = (None if part is None else part.to(flat) for part in held)
            parts.append(functional.linear(flat, cast("Tensor", weight), bias))
        return sum(parts[1:], parts[0]) if parts else None

    def on(self, inputs: Tensor) -> Decomposition:
        """With the sizes that the shape of the inputs decides where there are convolutions.

        Raises:
            UnsupportedError: windows that do not fit, or a bias that several places of the outputs share.
        """
        shape = tuple(inputs.shape[1:])
        branches = tuple(branch.on(shape) for branch in self.branches)
        coefficients = self.network.coefficients
        if len(coefficients) and any(branch.outputs_on(shape) != coefficients.shape[1] for branch in branches):
            raise UnsupportedError(
                f"{self.layout.graph.label}: all places of a channel of the outputs share a bias, which no bound "
                "serves. Leave it out (bias=False)",
                code="unsupported-architecture",
            )
        if not len(coefficients) and branches:
            coefficients = coefficients.new_zeros(0, branches[0].outputs_on(shape))
        network = ParallelNetwork(tuple(branch.stack for branch in branches), coefficients)
        return replace(self, branches=branches, network=network)

    def rows(self, network: ParallelNetwork, block: Block) -> Tensor:
        """The rows of C that belong to a block."""
        skips = sum(found.role == "skip" for found in self.blocks)
        size = (len(network.coefficients) - len(self.blocks) + skips) // max(skips, 1)
        start = sum(size if found.role == "skip" else 1 for found in self.blocks[: self.blocks.index(block)])
        return network.coefficients[start : start + (size if block.role == "skip" else 1)]


def decompose(graph: LayerGraph, conventions: Conventions, charge: Charge) -> Decomposition:
    """The parallel network of a model.

    Raises:
        UnsupportedError: the graph leaves the theory, or the penalty can be rescaled away.
        UsageError: shapes that do not chain, or biases that contradict the problem.
    """
    layout = require_layout(graph)
    if isinstance(charge, Decays):
        trained = (name for name in layout.graph.parameters if name not in layout.graph.frozen)
        charge.require_names((layout.graph.prefix + name for name in (*trained, *graph.unused)), graph.label)
    policy = resolve_policy(layout, conventions, charge)
    branches = model_branches(layout, policy, charge)
    blocks, coefficients = _convex(layout, policy, charge, branches)
    network = ParallelNetwork(tuple(branch.stack for branch in branches), coefficients)
    return Decomposition(layout, conventions, charge, policy, branches, blocks, network)


def require_input_size(decomposition: Decomposition, inputs: Tensor, where: str) -> None:
    """Raise UsageError (`shape-mismatch`) unless the data have the inputs that the first layer reads."""
    graph = decomposition.layout.graph
    weighted = [layer for layer in graph.layers if layer.weight is not None]
    reading = [layer for layer in weighted if layer.inputs[0] in graph.inputs]
    first = (reading or weighted)[0]
    tables = all(isinstance(branch.neuron.architecture.first, Dense) for branch in decomposition.branches)
    if tables and inputs.ndim != 2:
        raise UsageError(
            f"{where}: inputs have shape {tuple(inputs.shape)}, but {first.title} of {graph.label} reads (n, d); "
            "flatten what has more axes",
            code="shape-mismatch",
        )
    needed = graph.weight(first).shape[0 if first.attributes.get("transposed") else 1] if reading else 0
    if reading and inputs.shape[1] != needed:
        raise UsageError(
            f"{where}: inputs have shape {tuple(inputs.shape)}, but {first.title} of {graph.label} reads "
            f"{needed} {'inputs' if tables else 'channels'}",
            code="shape-mismatch",
        )


def require_same_outputs(graph: LayerGraph, objective: Objective, network: ParallelNetwork, inputs: Tensor) -> None:
    """Compare the parallel network with the layer-by-layer reference.

    Raises:
        RefusedError: the outputs overflow.
        UnsupportedError: they differ by more than rounding, and there are gates that rounding may open or close.
        CertifyError: they differ by more than rounding; a defect of certify.
    """
    reference, outputs = graph.forward(inputs), objective.forward(network)
    if not bool(torch.isfinite(reference).all() & torch.isfinite(outputs).all()):
        raise RefusedError(f"{graph.label}: its outputs on the data overflow float64", code="non-finite")
    absolute = replace(
        graph,
        layers=tuple(_absolute(layer) for layer in graph.layers),
        parameters={name: tensor.abs() for name, tensor in graph.parameters.items()},
    )
    slopes: Any = [layer.attributes.get("negative_slope", 0.0) for layer in graph.layers]
    steepest = math.prod(max(1.0, abs(slope)) for slope in slopes)
    scale = steepest * absolute.forward(inputs.abs()).reshape(outputs.shape) + torch.finfo(torch.float64).tiny
    difference = (outputs - reference.reshape(outputs.shape)).abs()
    if bool((difference <= FORWARD_TOLERANCE * scale).all()):
        return
    found = f"{graph.label}: the parallel form differs from the layers by {float(difference.max()):.3g}"
    if any(layer.op == "gt" for layer in graph.layers):
        raise UnsupportedError(
            f"{found}: a sample lies on the border of a gate, where rounding decides whether it passes; move the gate "
            "a little, for example by a bias. If there is no such sample, please report",
            code="unsupported-architecture",
        )
    raise CertifyError(f"{found}; please report")


def _absolute(layer: Layer) -> Layer:
    if layer.op != "scale":
        return layer
    factor: Any = layer.attributes["factor"]
    return replace(layer, attributes={**layer.attributes, "factor": abs(factor)})


def _convex(
    layout: Layout, policy: BiasPolicy, charge: Charge, branches: tuple[ModelBranch, ...]
) -> tuple[tuple[Block, ...], Tensor]:
    """Blocks of E, and C (k, c)."""
    graph = layout.graph
    blocks: list[tuple[Block, Tensor]] = []
    free: list[str] = []
    for name in layout.outside.biases:
        ridge = _ridge(layout, charge, name, policy.output)
        if ridge > 0:
            blocks.append((Block("output-bias", ridge, (name,)), graph.parameters[name][None]))
        else:
            free.append(name)
    constants = [
        branch.biases[:, 0] @ branch.weights[1]
        for branch in branches
        if branch.folds_bias and branch.biases is not None
    ]
    if free or constants:
        total = torch.stack([*(graph.parameters[name] for name in free), *constants]).sum(0)
        role: Role = "output-bias" if free else "constant"
        blocks.append((Block(role, 0.0, tuple(free)), total[None]))
    for skip in layout.outside.skips:
        ridge = _ridge(layout, charge, skip.parameters["weight"], policy.skip)
        blocks.append((Block("skip", ridge, (skip.parameters["weight"],)), graph.weight(skip).T))
    like = next(iter(graph.parameters.values()))
    rows = [coefficients for _, coefficients in blocks] or [like.new_zeros(0, 0)]
    return tuple(block for block, _ in blocks), torch.cat(rows)


def _ridge(layout: Layout, charge: Charge, name: str, policy: str) -> float:
    return charge.of(layout.graph.prefix + name) if policy == "penalized" and isinstance(charge, Decays) else 0.0
