"""A network, of any width, as the parameters of the layers that it came from.

Values are float64: rounding them to float32 would change the objective that was certified.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.models.factors.factor_model import FactorModel
from certify.models.graph.layers import LayerGraph
from certify.models.theory.branches import ModelBranch, live_width, shared_out
from certify.models.theory.decompose import Decomposition
from certify.models.theory.parts import Part
from certify.problem import Factors, ParallelNetwork
from certify.problem.architecture import Convolution

# v of the subnetwork that carries a free constant which no output bias can hold: its penalty is about wd 2^-81 |c|².
CARRIER = 2.0**-40

# Share of the largest weight of a block that zeros in it become.
UNSEEN = 2.0**-100

Piece = tuple[Part, Tensor]


def network_parameters(
    graph: LayerGraph, decomposition: Decomposition | FactorModel, network: ParallelNetwork
) -> dict[str, Tensor]:
    """Parameters of `graph`'s layers, by name in its order, that compute what `network` computes."""
    if isinstance(decomposition, FactorModel):
        return decomposition.parameters(network)
    found = _outside(decomposition, network)
    pieces: dict[str, list[Piece]] = {}
    for branch, stack in zip(decomposition.branches, network.stacks, strict=True):
        widths = tuple(live_width(decomposition.layout, cut) for cut in branch.cuts)
        carrying, biases = _with_carrier(decomposition, branch, network, stack)
        for name, part, units in shared_out(branch, widths, carrying, biases):
            pieces.setdefault(name, []).append((part, _filled(part, _runnable(branch, units))))
    found |= {name: _joined(parts) for name, parts in pieces.items()}
    return {
        name: found.get(name, tensor).detach().cpu().double().clone(memory_format=torch.contiguous_format)
        for name, tensor in graph.parameters.items()
    }


def _runnable(branch: ModelBranch, units: Tensor) -> Tensor:
    """The units of one part, (r, …); one of zeros for none where a unit must stay.

    Nothing runs a convolution without channels, and a gate or a deep branch without units would be no part of the model
    any more.
    """
    made = branch.neuron.architecture
    stays = isinstance(made.first, Convolution) or made.gate is not None or bool(made.middle)
    return units.new_zeros(1, *units.shape[1:]) if stays and not len(units) else units


def _filled(part: Part, units: Tensor) -> Tensor:
    """The blocks of a weight between hidden layers, (r, …), without zeros but where all are.

    Subnetworks are told apart by the zeros around their blocks; zeros in one would take it apart. What takes their
    place is too small to be seen in any output.
    """
    if part.rows is None or part.columns is None:
        return units
    return torch.where(units == 0, UNSEEN * units.flatten(1).abs().amax(1).reshape(-1, *[1] * (units.ndim - 1)), units)


def _outside(decomposition: Decomposition, network: ParallelNetwork) -> dict[str, Tensor]:
    """Output biases and skips; of biases that are one, the first holds the sum."""
    found: dict[str, Tensor] = {}
    for block in decomposition.blocks:
        rows = decomposition.rows(network, block)
        values = rows.T if block.role == "skip" else rows[0]
        for place, name in enumerate(block.parameters):
            found[name] = values if place == 0 else torch.zeros_like(values)
    return found


def _with_carrier(
    decomposition: Decomposition, branch: ModelBranch, network: ParallelNetwork, stack: Factors
) -> tuple[Factors, Tensor | None]:
    """The stack with a unit for a free constant that no output bias holds, and all hidden biases."""
    block = next((block for block in decomposition.blocks if block.role == "constant"), None)
    if block is None or not branch.folds_bias:
        return stack, None
    constant, (first, second) = decomposition.rows(network, block), stack
    bias = first.new_zeros(len(first), 1)
    if not bool(constant.any()):
        return stack, bias
    # A unit without inputs, whose free bias makes the constant exactly: (1/ε)(ε c).
    first = torch.cat([first, first.new_zeros(1, first.shape[1])])
    return (first, torch.cat([second, CARRIER * constant])), torch.cat([bias, bias.new_tensor([[1 / CARRIER]])])


def _joined(pieces: list[Piece]) -> Tensor:
    """One parameter from its parts, in the order in which they stand in it."""
    ordered = sorted(pieces, key=lambda piece: _place(piece[0]))
    parts = [part.placed(units) for part, units in ordered]
    axis = 0 if ordered[0][0].rows is not None else 1
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _place(part: Part) -> int:
    index = part.columns if part.rows is None else part.rows
    return 0 if index is None or not index.size else int(index.min())
