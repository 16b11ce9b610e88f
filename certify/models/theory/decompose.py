"""A two-layer graph as a parallel network Σ_i φ(H; W_i) + E C, and back.

u (r, d′) are the rows of the first weight, with the hidden bias as last column where φ keeps it; v (r, c) are
the columns of the second. E holds, in this order: ones for the output bias, ones for the constant that a free
hidden bias of a linear network adds, and the inputs for a linear skip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, final

import torch
from torch import Tensor

from certify.errors import CertifyError, RefusedError, UsageError
from certify.models.graph.layers import LayerGraph
from certify.models.theory.bias_policy import BiasPolicy, Conventions, resolve_policy
from certify.models.theory.homogeneity import require_supported
from certify.models.theory.two_layer import TwoLayerForm
from certify.problem import SUBNETWORKS, ConvexPart, Factors, Objective, ParallelNetwork, Penalty, Subnetwork

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
    """

    role: Role
    ridge: float


@final
@dataclass(frozen=True, slots=True)
class Decomposition:
    """A model in the form that the theory speaks of.

    Attributes:
        kind: φ.
        network: factors and coefficients.
        policy: what is penalized.
        blocks: the columns of E.
        augmented: whether H has a constant last column for the hidden bias.
        form: which layers of the graph hold them.
    """

    kind: Subnetwork
    network: ParallelNetwork
    policy: BiasPolicy
    blocks: tuple[Block, ...]
    augmented: bool
    form: TwoLayerForm

    @property
    def free_inputs(self) -> int:
        """Number of trailing columns of H whose weights are not penalized."""
        return int(self.augmented and self.policy.hidden == "free")

    def hidden_inputs(self, inputs: Tensor) -> Tensor:
        """H (n, d′) for inputs (n, d)."""
        return torch.cat([inputs, inputs.new_ones(len(inputs), 1)], 1) if self.augmented else inputs

    def convex_part(self, inputs: Tensor) -> ConvexPart:
        """E and μ for inputs (n, d)."""
        ones = inputs.new_ones(len(inputs), 1)
        columns = [inputs if block.role == "skip" else ones for block in self.blocks]
        ridge = [block.ridge for block, part in zip(self.blocks, columns, strict=True) for _ in range(part.shape[1])]
        return ConvexPart(torch.cat([inputs[:, :0], *columns], 1), inputs.new_tensor(ridge))

    def rows(self, network: ParallelNetwork, role: Role) -> Tensor | None:
        """The rows of C that belong to a role, or None."""
        start = 0
        for block in self.blocks:
            width = len(network.coefficients) - len(self.blocks) + 1 if block.role == "skip" else 1
            if block.role == role:
                return network.coefficients[start : start + width]
            start += width
        return None


def decompose(graph: LayerGraph, conventions: Conventions, penalty: Penalty) -> Decomposition:
    """The parallel network of a two-layer graph.

    Raises:
        UnsupportedError: the graph leaves the theory, or the penalty can be rescaled away.
        UsageError: shapes that do not chain, or biases that contradict the problem.
    """
    form = require_supported(graph)
    kind = SUBNETWORKS[form.family]
    penalty.gauge(kind)
    policy = resolve_policy(graph, conventions, penalty)
    augmented = policy.hidden != "absent" and not (kind.name == "linear" and policy.hidden == "free")
    blocks, coefficients = _convex(graph, form, policy, penalty.ridge())
    network = ParallelNetwork(_factors(graph, form, augmented), coefficients)
    return Decomposition(kind, network, policy, blocks, augmented, form)


def require_input_size(graph: LayerGraph, inputs: Tensor, where: str) -> None:
    """Raise UsageError (`shape-mismatch`) unless the data have the inputs that the first layer reads."""
    first = require_supported(graph).first
    weight = graph.weight(first)
    if inputs.ndim != 2:
        raise UsageError(
            f"{where}: inputs have shape {tuple(inputs.shape)}, but {first.title} of {graph.label} reads (n, d); "
            "flatten what has more axes",
            code="shape-mismatch",
        )
    if inputs.shape[1] != weight.shape[1]:
        raise UsageError(
            f"{where}: inputs have shape {tuple(inputs.shape)}, but {first.title} of {graph.label} reads "
            f"{weight.shape[1]} inputs",
            code="shape-mismatch",
        )


def require_same_outputs(graph: LayerGraph, objective: Objective, network: ParallelNetwork, inputs: Tensor) -> None:
    """Compare the parallel network with the layer-by-layer reference.

    Raises:
        RefusedError: the outputs overflow.
        CertifyError: they differ by more than rounding; a defect of certify.
    """
    reference, outputs = graph.forward(inputs), objective.forward(network)
    if not bool(torch.isfinite(reference).all() & torch.isfinite(outputs).all()):
        raise RefusedError(f"{graph.label}: its outputs on the data overflow float64", code="non-finite")
    scale = _of_absolute_values(graph).forward(inputs.abs()) + torch.finfo(torch.float64).tiny
    if not bool(((outputs - reference).abs() <= FORWARD_TOLERANCE * scale).all()):
        worst = float((outputs - reference).abs().max())
        raise CertifyError(f"{graph.label}: the parallel form differs from the layers by {worst:.3g}; please report")


def _factors(graph: LayerGraph, form: TwoLayerForm, augmented: bool) -> Factors:
    bias = graph.bias(form.first)
    columns = [graph.weight(form.first)] + ([bias[:, None]] if augmented and bias is not None else [])
    return torch.cat(columns, 1), graph.weight(form.second).T.contiguous()


def _convex(
    graph: LayerGraph, form: TwoLayerForm, policy: BiasPolicy, ridge: float | None
) -> tuple[tuple[Block, ...], Tensor]:
    """Blocks of E, and C (k, c)."""
    hidden, output, weight = graph.bias(form.first), graph.bias(form.second), graph.weight(form.second)
    folded = form.family == "linear" and policy.hidden == "free"
    strength = ridge or 0.0
    blocks, rows = [], [weight.new_zeros(0, weight.shape[0])]
    constant = (weight @ hidden)[None] if folded and hidden is not None else None
    if output is not None:
        # Two free constants are one.
        merged = constant if constant is not None and policy.output == "free" else None
        blocks.append(Block("output-bias", 0.0 if policy.output == "free" else strength))
        rows.append(output[None] if merged is None else output[None] + merged)
        constant = None if merged is not None else constant
    if constant is not None:
        blocks.append(Block("constant", 0.0))
        rows.append(constant)
    if form.skip is not None:
        blocks.append(Block("skip", 0.0 if policy.skip == "free" else strength))
        rows.append(graph.weight(form.skip).T)
    return tuple(blocks), torch.cat(rows)


def _of_absolute_values(graph: LayerGraph) -> LayerGraph:
    return replace(graph, parameters={name: tensor.abs() for name, tensor in graph.parameters.items()})
