"""The outputs of a model as the sum of its parallel subnetworks and of what is left without them."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor


def of_sort(sort, *inputs: Tensor) -> Tensor:
    """Σ_i φ(inputs; W_i)."""

    def one(weights: Mapping[str, Tensor]) -> Tensor:
        return replace(sort.graph, parameters=weights).forward(*inputs)

    return torch.func.vmap(one)(dict(sort.graph.parameters)).sum(0)


def without_subnetworks(graph, form, *inputs: Tensor) -> Tensor:
    """The model's outputs with the weights of all subnetworks zero."""
    own = {name for sort in form.sorts for cut in sort.cuts for name in cut.parts}
    zero = {name: torch.zeros_like(tensor) for name, tensor in graph.parameters.items() if name in own}
    return replace(graph, parameters={**graph.parameters, **zero}).forward(*inputs)


def summed(graph, form, *inputs: Tensor) -> Tensor:
    """Σ_sorts Σ_i φ(inputs; W_i) + the rest."""
    return sum((of_sort(sort, *inputs) for sort in form.sorts), without_subnetworks(graph, form, *inputs))
