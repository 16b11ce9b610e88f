"""A network, of any width, as the parameters of the layers that it came from.

Values are float64: rounding them to float32 would change the objective that was certified.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.models.graph.layers import LayerGraph
from certify.models.theory.decompose import Decomposition
from certify.problem import ParallelNetwork

# v of the subnetwork that carries a free constant which no output bias can hold: its penalty is about wd 2^-81 |c|².
CARRIER = 2.0**-40


def network_parameters(graph: LayerGraph, decomposition: Decomposition, network: ParallelNetwork) -> dict[str, Tensor]:
    """Parameters of `graph`'s layers, by name in its order, that compute what `network` computes."""
    form = decomposition.form
    weight, hidden_bias, outgoing = _units(decomposition, network)
    found: dict[str | None, Tensor | None] = {
        form.first.weight: weight,
        form.first.bias: hidden_bias,
        form.second.weight: outgoing.T,
    }
    output_bias = decomposition.rows(network, "output-bias")
    if output_bias is not None:
        found[form.second.bias] = output_bias[0]
    skip = decomposition.rows(network, "skip")
    if form.skip is not None and skip is not None:
        found[form.skip.weight] = skip.T
    # Hidden units that are not there have no parameters in the file.
    blank = (form.first.weight, form.second.weight) if form.family == "single-layer" else ()
    written = {name: found[name] for name in graph.parameters if name not in blank}
    return {
        name: t.detach().cpu().double().clone(memory_format=torch.contiguous_format)
        for name, t in written.items()
        if t is not None
    }


def _units(decomposition: Decomposition, network: ParallelNetwork) -> tuple[Tensor, Tensor | None, Tensor]:
    """First weight (r, d), hidden bias (r,) or None, and second factor (r, c)."""
    first, second = network.factors
    if decomposition.augmented:
        return first[:, :-1], first[:, -1], second
    if decomposition.policy.hidden == "absent":
        return first, None, second
    constant = decomposition.rows(network, "constant")
    bias = first.new_zeros(len(first))
    if constant is None or not bool(constant.any()):
        return first, bias, second
    # A unit without inputs, whose free bias makes the constant exactly: (1/ε)(ε c).
    first = torch.cat([first, first.new_zeros(1, first.shape[1])])
    bias = torch.cat([bias, bias.new_tensor([1 / CARRIER])])
    return first, bias, torch.cat([second, CARRIER * constant])
