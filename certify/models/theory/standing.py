"""Where a model stands to the theory: its parallel subnetworks, their degree, and what is in the way.

The theory needs φ(aW) = aᵖφ(W) for a > 0 and a penalty of the same degree (Haeffele and Vidal 2015, Definition 1 and
Proposition 3); a bound on the polar is proven for subnetworks of two weights with a known kind between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.errors import CertifyError
from certify.models.factors.embeddings import as_factorization
from certify.models.graph.layers import LayerGraph
from certify.models.graph.ranks import ranks_of
from certify.models.theory.degrees import Degrees, degrees_of
from certify.models.theory.neurons import NeuronLayers, neuron_layers
from certify.models.theory.obstacles import Obstacle, of_break, of_degrees, without_bound, without_subnetworks
from certify.models.theory.outside import Outside, outside_of
from certify.models.theory.parallel import ParallelForm, Sort, parallel_form
from certify.models.theory.shapes import shape_faults
from certify.models.theory.tables import plain_graph, with_units


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """A model that bounds serve.

    Attributes:
        graph: simplified.
        sorts: its subnetworks; none for single linear layers.
        neurons: what each sort is.
        outside: what is added to them.
        blank: names of parameters that have no units, for which one unit of zeros stands in `sorts`.
        notes: what was assumed.
    """

    graph: LayerGraph
    sorts: tuple[Sort, ...]
    neurons: tuple[NeuronLayers, ...]
    outside: Outside
    blank: frozenset[str]
    notes: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Standing:
    """A model before the theory.

    Attributes:
        graph: simplified.
        degrees: of every layer and parameter.
        form: the parallel subnetworks, or None where homogeneity breaks.
        layout: for which bounds are proven, or None.
        obstacles: everything that keeps the model from a certificate, gravest first; empty if nothing does.
    """

    graph: LayerGraph
    degrees: Degrees
    form: ParallelForm | None = None
    layout: Layout | None = None
    obstacles: tuple[Obstacle, ...] = ()


def standing_of(graph: LayerGraph) -> Standing:
    """Judge a graph; needs shapes alone."""
    plain = plain_graph(graph)
    degrees = degrees_of(plain)
    if degrees.breaks:
        return Standing(plain, degrees, obstacles=tuple(of_break(plain, broken) for broken in degrees.breaks))
    if faults := shape_faults(plain):
        return Standing(plain, degrees, obstacles=faults)
    wide, blank = with_units(plain)
    form = parallel_form(wide)
    layout = _layout(plain, form, blank)
    if layout is not None:
        return Standing(plain, degrees, form, layout)
    obstacle = (of_degrees(plain, form) or without_bound(plain, form)) if form.sorts else without_subnetworks(plain)
    # Factorizations are served as such, with entries as their samples.
    served = obstacle.code == "no-bound-yet" and as_factorization(plain) is not plain
    return Standing(plain, degrees, form, obstacles=() if served else (obstacle,))


def require_layout(graph: LayerGraph) -> Layout:
    """The layout of a graph.

    Raises:
        UnsupportedError: `not-homogeneous`, `unknown-layer`, `deep-bias`, `unequal-degrees`, `degree-mismatch`,
            `unsupported-architecture` or `no-bound-yet`.
        UsageError: the shapes of the weights do not chain.
    """
    standing = standing_of(graph)
    for obstacle in standing.obstacles:
        raise obstacle.error()
    if standing.layout is None:
        raise CertifyError(f"{graph.label}: neither a bound nor an obstacle; please report")
    return standing.layout


def _layout(graph: LayerGraph, form: ParallelForm, blank: frozenset[str]) -> Layout | None:
    neurons, outside = [neuron_layers(sort.graph) for sort in form.sorts], outside_of(graph)
    found = tuple(neuron for neuron in neurons if neuron is not None)
    known = len(found) == len(neurons) and graph.layers and len(graph.inputs) == 1
    known = known and len({sort.degree for sort in form.sorts}) <= 1
    # Another number of subnetworks would be another number of groups, which is no weight.
    grouped = (layer for layer in graph.layers if layer.groups > 1 and layer.inputs[0] not in graph.inputs)
    known = known and all(degrees_of(graph).values[layer.inputs[0]] == 0 for layer in grouped)
    if not known or outside is None or ranks_of(graph)[graph.layers[-1].name] > 2:
        return None
    if not found and not (outside.skips and not outside.identity and not outside.fixed):
        return None
    gains = tuple(
        f"the factor {neuron.gain:g} counts in '{neuron.weights[-1]}': what is certified holds its multiple, and "
        f"weight decay over {neuron.gain**2:g}"
        for neuron in dict.fromkeys(found)
        if neuron.gain != 1
    )
    return Layout(graph, form.sorts, found, outside, blank, (*form.notes, *gains))
