"""A model as the largest number of parallel positively homogeneous subnetworks, found in its graph.

    Φ(x) = Σ_kinds Σ_{i ≤ r} φ(x; W_i) + (what is left when all W_i are zero: output biases, linear skips)

Subnetworks of one kind compute the same function of their own weights (Haeffele and Vidal 2015, section 3). The
weights are stacked with a leading axis r, and lead back to the parameters of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from certify.models.graph.layers import LayerGraph
from certify.models.theory.channels import split_channels
from certify.models.theory.degrees import degrees_of
from certify.models.theory.families import family_name
from certify.models.theory.subnetwork_graph import Cut, cut_subnetworks
from certify.models.theory.terms import terms_of


@final
@dataclass(frozen=True, slots=True)
class Sort:
    """Identical subnetworks.

    Attributes:
        family: what they are called.
        degree: p, of homogeneity.
        graph: the layers of one subnetwork; its parameters are those of all, stacked along a leading axis r.
        cuts: where they come from, branch by branch.
    """

    family: str
    degree: int
    graph: LayerGraph
    cuts: tuple[Cut, ...]

    @property
    def width(self) -> int:
        """Number r of subnetworks."""
        return sum(cut.width for cut in self.cuts)


@final
@dataclass(frozen=True, slots=True)
class ParallelForm:
    """A model as parallel subnetworks.

    Attributes:
        sorts: one for every sort of subnetwork; empty if the model has none.
        notes: what was assumed, for the report.
    """

    sorts: tuple[Sort, ...]
    notes: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of subnetworks of all kinds."""
        return sum(kind.width for kind in self.sorts)


def parallel_form(graph: LayerGraph) -> ParallelForm:
    """The largest number of parallel subnetworks of a graph without breaks of homogeneity.

    Args:
        graph: simplified (`simplify.simplified`); on the meta device, where zeros cannot be seen, weights count as
            dense.
    """
    dense = _form(graph, zeros=False)
    sparse = dense if any(tensor.is_meta for tensor in graph.parameters.values()) else _form(graph, zeros=True)
    if len(sparse.sorts) == 1 and sparse.width > dense.width:
        note = f"zeros in the weights split the network into {sparse.width} subnetworks that share no weight"
        return replace(sparse, notes=(note,))
    return dense


def _form(graph: LayerGraph, *, zeros: bool) -> ParallelForm:
    terms, values = terms_of(graph), degrees_of(graph).values
    channels = split_channels(graph, terms, zeros=zeros)
    kinds: dict[object, list[Cut]] = {}
    # Of degree 0 or 1 in the parameters: fixed, or linear in them; both are outside the sum.
    for term in (term for term in terms if (values[term.node] or 0) >= 2):
        for cut in cut_subnetworks(graph, term, channels):
            kinds.setdefault(cut.signature, []).append(cut)
    found = tuple(_sort(cuts) for cuts in kinds.values())
    return ParallelForm(found, ())


def _sort(cuts: list[Cut]) -> Sort:
    first = cuts[0].graph
    stacks = zip(*(cut.graph.parameters.values() for cut in cuts), strict=True)
    weights = dict(zip(first.parameters, (_joined(stack) for stack in stacks), strict=True))
    degree = degrees_of(first).values[first.layers[-1].name]
    return Sort(family_name(first), degree or 0, replace(first, parameters=weights), tuple(cuts))


def _joined(stacks: tuple[Tensor, ...]) -> Tensor:
    if stacks[0].is_meta:
        width = sum(len(stack) for stack in stacks)
        return torch.empty((width, *stacks[0].shape[1:]), dtype=stacks[0].dtype, device="meta")
    return torch.cat(stacks)
