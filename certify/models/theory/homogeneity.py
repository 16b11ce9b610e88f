"""Where a model stands to the theory: its parallel subnetworks, their degree, and what is in the way.

The theory needs φ(aW) = aᵖφ(W) for a > 0 and a penalty of the same degree (Haeffele and Vidal 2015, Definition 1 and
Proposition 3); a bound on the polar is proven for two linear layers with nothing, ReLU or square between them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from certify.errors import CertifyError
from certify.models.graph.layers import LayerGraph
from certify.models.graph.simplify import simplified
from certify.models.theory.degrees import Degrees, degrees_of
from certify.models.theory.obstacles import Obstacle, of_break, of_degrees, without_bound, without_subnetworks
from certify.models.theory.parallel import ParallelForm, parallel_form
from certify.models.theory.reduce import as_two_layers, on_tables
from certify.models.theory.single_layer import as_single_layer
from certify.models.theory.two_layer import TwoLayerForm, two_layer_form


@final
@dataclass(frozen=True, slots=True)
class Standing:
    """A model before the theory.

    Attributes:
        graph: simplified, and as two layers where it can be written so.
        degrees: of every layer and parameter before it was so written.
        form: the parallel subnetworks, or None where homogeneity breaks.
        two_layer: the form for which bounds are proven, or None.
        obstacles: everything that keeps the model from a certificate, gravest first; empty if nothing does.
    """

    graph: LayerGraph
    degrees: Degrees
    form: ParallelForm | None
    two_layer: TwoLayerForm | None
    obstacles: tuple[Obstacle, ...]


def standing_of(graph: LayerGraph) -> Standing:
    """Judge a graph; needs shapes alone."""
    plain = on_tables(simplified(graph))
    degrees = degrees_of(plain)
    single = as_single_layer(plain)
    if single is not None:
        return Standing(single, degrees, None, two_layer_form(single), ())
    two_layer = two_layer_form(plain)
    if degrees.breaks:
        found = tuple(of_break(plain, broken) for broken in degrees.breaks)
        return Standing(plain, degrees, None, None, found)
    faults = () if two_layer is None else tuple(_shape_faults(plain, two_layer))
    if faults:
        return Standing(plain, degrees, None, two_layer, faults)
    form = parallel_form(plain)
    if not form.kinds:
        return Standing(plain, degrees, form, None, (without_subnetworks(plain),))
    rewritten = as_two_layers(plain, form) if two_layer is None else None
    if rewritten is not None:
        return replace(standing_of(rewritten), degrees=degrees)
    if two_layer is not None:
        return Standing(plain, degrees, form, two_layer, ())
    mismatch = of_degrees(plain, form)
    return Standing(plain, degrees, form, None, (mismatch or without_bound(plain, form),))


def require_supported(graph: LayerGraph) -> TwoLayerForm:
    """The two-layer form of a simplified graph.

    Raises:
        UnsupportedError: `not-homogeneous`, `unknown-layer`, `deep-bias`, `unequal-degrees`, `degree-mismatch`,
            `unsupported-architecture` or `no-bound-yet`.
        UsageError: the shapes of the weights do not chain.
    """
    form = two_layer_form(graph)
    faults = standing_of(graph).obstacles if form is None else _shape_faults(graph, form)
    for obstacle in faults:
        raise obstacle.error()
    if form is None:
        raise CertifyError(f"{graph.label}: neither two layers nor an obstacle; please report")
    return form


def _shape_faults(graph: LayerGraph, form: TwoLayerForm) -> list[Obstacle]:
    where = graph.label
    faults = []
    for layer in form.weighted:
        weight, bias = graph.weight(layer), graph.bias(layer)
        if weight.ndim != 2:
            faults.append(_shape(f"{where}: '{layer.weight}' has shape {tuple(weight.shape)}.", "Need a matrix."))
        elif bias is not None and bias.shape != weight.shape[:1]:
            found = f"{where}: '{layer.bias}' has shape {tuple(bias.shape)}, '{layer.weight}' {tuple(weight.shape)}."
            faults.append(_shape(found, f"Need a bias of shape ({weight.shape[0]},)."))
    if faults:
        return faults
    first, second = graph.weight(form.first), graph.weight(form.second)
    if second.shape[1] != first.shape[0]:
        found = f"{where}: '{form.first.weight}' has shape {tuple(first.shape)}, '{form.second.weight}' "
        faults.append(_shape(f"{found}{tuple(second.shape)}.", f"Need {first.shape[0]} columns in the second."))
    if first.shape[1] == 0 or second.shape[0] == 0:
        faults.append(_shape(f"{where}: the network has no inputs or no outputs.", "Need at least one of each."))
    if form.skip and graph.weight(form.skip).shape != (second.shape[0], first.shape[1]):
        found = f"{where}: skip weight '{form.skip.weight}' has shape {tuple(graph.weight(form.skip).shape)}."
        faults.append(_shape(found, f"Need ({second.shape[0]}, {first.shape[1]})."))
    return faults


def _shape(reason: str, remedy: str) -> Obstacle:
    return Obstacle("shape-mismatch", reason, remedy, is_usage=True)
