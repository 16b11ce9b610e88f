"""What a model is, layer by layer, and what keeps it from a certificate; needs no data and runs nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from certify.errors import CertifyError, UsageError
from certify.models.factors.factor_model import LOOK_UP, FactorModel, factor_model, is_factorization
from certify.models.graph.layers import Layer, LayerGraph
from certify.models.lowering.live_module import graph_of_module
from certify.models.model_file import layered, read_model_file
from certify.models.readers.weight_file import WeightFile
from certify.models.spec.layer_list import parse_layers
from certify.models.theory.bias_policy import Conventions
from certify.models.theory.branches import live_width
from certify.models.theory.decays import Decays
from certify.models.theory.degrees import layer_degree
from certify.models.theory.obstacles import Obstacle
from certify.models.theory.parallel import Sort
from certify.models.theory.standing import Layout, Standing, standing_of
from certify.problem import FACTORIZATIONS, Kind
from certify.problem.kinds import Tied

# Weight decay of all parameters, or by name or pattern; None where it is not known.
Rule = float | Mapping[str, float] | None
UNEQUAL_NOTE = (
    "degree {degree}: weight decay has degree 2, so that bounds count all subnetworks as one, and are tight where one "
    "is enough; with --penalty product_of_norms (powers {powers}) degrees are equal"
)


@final
@dataclass(frozen=True, slots=True)
class LayerRow:
    """One line of the table of layers.

    Attributes:
        op: operation.
        name: name of the layer.
        inputs: names of what it reads.
        shapes: shapes of its parameters, by name.
        degree: of homogeneity in its input; None where it has none or is unknown.
        parameter_degree: degree of its output in all parameters before it, biases of the outputs aside; None after a
            break of homogeneity, and for layers that are removed or folded.
        remark: what becomes of it: `removed`, `folded`, `breaks`, `frozen`, the factor of a scale, or nothing.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    degree: int | None
    parameter_degree: int | None
    remark: str


@final
@dataclass(frozen=True, slots=True)
class SubnetworkRow:
    """One kind of parallel subnetworks.

    Attributes:
        family: its name.
        degree: p, of homogeneity.
        width: number r of them.
        layers: operations of one, in the order in which they run.
        weights: shapes of the weights of one, by the name of the parameter in the model.
        kind: name of the kind that bounds serve, or None.
    """

    family: str
    degree: int
    width: int
    layers: tuple[str, ...]
    weights: dict[str, tuple[int, ...]]
    kind: str | None = None

    @property
    def inputs(self) -> int:
        """Scalars in all weights but the last: of a two-layer network, inputs with the hidden bias."""
        read_twice = self.kind == Tied.name
        return sum(math.prod(shape) for shape in list(self.weights.values())[: None if read_twice else -1])

    @property
    def outputs(self) -> int:
        """Scalars in the last weight: of a two-layer network, outputs."""
        return math.prod(list(self.weights.values())[0 if self.kind == Tied.name else -1])


@final
@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found.

    Attributes:
        layers: the layers in order; a linear layer beside a two-layer network has operation `skip`.
        family: name of the kind of subnetworks that bounds are proven for, or None.
        degree: its degree of homogeneity, or None.
        width: number r of subnetworks, or None.
        subnetworks: the parallel subnetworks, also of kinds without a bound; empty where homogeneity breaks.
        parameters: shapes by name.
        weight_degrees: degree of the outputs in every parameter of a layer alone; None where there is none.
        penalized: names of the parameters that weight decay reaches: by default all that are trained.
        format: format of the file, or `live`.
        path: the file, or None.
        sha256: digest of the file, or of a live module's parameters.
        notes: assumptions and conversions.
        problems: what keeps the model from a certificate; empty if nothing does.
    """

    layers: tuple[LayerRow, ...]
    family: str | None
    degree: int | None
    width: int | None
    subnetworks: tuple[SubnetworkRow, ...]
    parameters: dict[str, tuple[int, ...]]
    weight_degrees: dict[str, int | None]
    penalized: tuple[str, ...]
    format: str
    path: Path | None
    sha256: str
    notes: tuple[str, ...]
    problems: tuple[Obstacle, ...]


def inspect_model(
    model: str | Path | torch.nn.Module,
    layers: Sequence[object] | None = None,
    inputs: torch.Tensor | None = None,
    weight_decay: Rule = None,
    *,
    matched: bool = False,
) -> Inspection:
    """Inspect a file or a live module.

    Args:
        model: path of a model file, or a module.
        layers: the `layers:` list, if there is one.
        inputs: (n, …) that a module reads, to trace it with; not needed where a linear layer comes first.
        weight_decay: wd of all, or by name or pattern, 0 for not penalized; by default all are penalized.
        matched: whether the penalty has the degree of the subnetworks.

    Raises:
        UsageError: a missing file, or layers that the weights do not have.
        RefusedError: unsafe, corrupt or non-finite content.
    """
    if isinstance(model, torch.nn.Module):
        return inspection_of(graph_of_module(model, layers, inputs), weight_decay, matched=matched)
    found = read_model_file(Path(model), values=False)
    try:
        graph = layered(found, None if layers is None else parse_layers(layers))
        return inspection_of(graph, weight_decay, matched=matched)
    except UsageError as error:
        if error.code != "layers-needed" or layers is not None or not isinstance(found, WeightFile):
            raise
        problem = Obstacle(error.code, str(error), "", is_usage=True)
    except ValueError as error:
        raise UsageError(f"{model}: layers: {error}", code="layers-needed") from error
    return _without_layers(found, problem, weight_decay)


def inspection_of(graph: LayerGraph, weight_decay: Rule = None, *, matched: bool = False) -> Inspection:
    """The inspection of a graph, with its weight decay where that is known."""
    if is_factorization(graph):
        return _of_factorization(graph, weight_decay, matched=matched)
    standing = standing_of(graph)
    layout, form = standing.layout, standing.form
    sorts = () if form is None else form.sorts
    rows = tuple(_subnetwork(sort, layout, place) for place, sort in enumerate(sorts))
    kinds = dict.fromkeys(neuron.kind for neuron in layout.neurons) if layout is not None and not matched else ()
    unequal = tuple(_unequal_note(kind) for kind in kinds if kind.degree != 2)
    assumed = () if form is None else form.notes
    return Inspection(
        layers=tuple(_row(graph, layer, standing) for layer in graph.layers),
        family=None if layout is None else " + ".join(dict.fromkeys(sort.family for sort in sorts)) or "single-layer",
        degree=max(sort.degree for sort in sorts) if layout and sorts else None,
        width=sum(row.width for row in rows) if layout and sorts else None,
        subnetworks=rows,
        parameters={name: tuple(tensor.shape) for name, tensor in graph.parameters.items()},
        weight_degrees=standing.degrees.parameters,
        penalized=_penalized(standing.graph, weight_decay),
        format=graph.format,
        path=graph.path,
        sha256=graph.sha256,
        notes=(*standing.graph.departures, *standing.graph.notes, *assumed, *unequal),
        problems=standing.obstacles,
    )


def _of_factorization(graph: LayerGraph, weight_decay: Rule, *, matched: bool) -> Inspection:
    """Terms of look-ups, and biases beside them."""
    conventions, order = Conventions(None, None, None), sum(layer.op == "select" for layer in graph.layers)
    unequal = (_unequal_note(FACTORIZATIONS[order]),) if order in FACTORIZATIONS and order > 2 and not matched else ()
    charge = Decays(1.0 if weight_decay is None else weight_decay, matched=matched)
    problem: tuple[Obstacle, ...] = ()
    model: FactorModel | None = None
    try:
        model = factor_model(graph, conventions, charge, counted=False)
    except CertifyError as error:
        problem = (Obstacle(error.code, str(error), "", is_usage=isinstance(error, UsageError)),)
    served = None if model is None or problem else model
    return Inspection(
        layers=tuple(_factor_rows(graph)),
        family=None if served is None else served.family,
        degree=None if served is None else served.degree,
        width=None if served is None else served.network.width,
        subnetworks=() if model is None else (_term_row(model),),
        parameters={name: tuple(tensor.shape) for name, tensor in graph.parameters.items()},
        weight_degrees=dict.fromkeys(graph.parameters, 1),
        penalized=_penalized(graph, weight_decay),
        format=graph.format,
        path=graph.path,
        sha256=graph.sha256,
        notes=(*graph.notes, *unequal),
        problems=problem,
    )


def _unequal_note(kind: Kind) -> str:
    return UNEQUAL_NOTE.format(degree=kind.degree, powers=list(kind.degrees))


def _factor_rows(graph: LayerGraph) -> Iterator[LayerRow]:
    degrees = dict.fromkeys(graph.inputs, 0)
    for layer in graph.layers:
        below = [degrees[name] for name in layer.inputs]
        table = layer.op == LOOK_UP and not layer.attributes.get("bias")
        degrees[layer.name] = 1 if table else sum(below) if layer.op == "mul" else max(below)
        shapes = {name: tuple(graph.parameters[name].shape) for name in layer.parameters.values()}
        own = None if layer.parameters else 1
        yield LayerRow(layer.op, layer.name, layer.inputs, shapes, own, degrees[layer.name], _remark(graph, layer))


def _term_row(model: FactorModel) -> SubnetworkRow:
    weights: dict[str, tuple[int, ...]] = {
        factor.name: (extent,) for factor, extent in zip(model.factors, model.shape, strict=True)
    }
    layers = (*(LOOK_UP for _ in model.factors), "mul", "sum")
    return SubnetworkRow(model.family, model.degree, model.network.width, layers, weights, model.kind.name)


def _without_layers(found: WeightFile, problem: Obstacle, weight_decay: Rule) -> Inspection:
    shapes = {name: tuple(tensor.shape) for name, tensor in found.parameters.items()}
    origin = (found.format, found.path, found.sha256, found.notes)
    reached = _reached(shapes, found.prefix, weight_decay)
    return Inspection((), None, None, None, (), shapes, {}, reached, *origin, (problem,))


def _penalized(graph: LayerGraph, weight_decay: Rule) -> tuple[str, ...]:
    """All parameters but frozen ones, the statistics that a layer keeps, and those with a weight decay of 0."""
    kept = {name for layer in graph.layers for role, name in layer.parameters.items() if role.startswith("running_")}
    trained = [name for name in graph.parameters if name not in kept | graph.frozen]
    return _reached(trained, graph.prefix, weight_decay)


def _reached(names: Iterable[str], prefix: str, weight_decay: Rule) -> tuple[str, ...]:
    return tuple(name for name in names if weight_decay is None or Decays(weight_decay).reach(prefix + name))


def _row(graph: LayerGraph, layer: Layer, standing: Standing) -> LayerRow:
    shapes = {name: tuple(graph.parameters[name].shape) for name in layer.parameters.values()}
    layout, values = standing.layout, standing.degrees.values
    skips = layout.outside.skips if layout is not None and layout.sorts else ()
    op = "skip" if layer.name in [skip.name for skip in skips] else layer.op
    broken = layer.name in [found.layer.name for found in standing.degrees.breaks]
    removal = "folded" if layer.op == "batch_norm" else "removed"
    remark = "breaks" if broken else _remark(graph, layer) if layer.name in values else removal
    return LayerRow(op, layer.name, layer.inputs, shapes, layer_degree(layer), values.get(layer.name), remark)


def _remark(graph: LayerGraph, layer: Layer) -> str:
    if layer.op == "scale":
        return f"× {layer.attributes['factor']}"
    return "frozen" if graph.is_frozen(layer) else ""


def _subnetwork(sort: Sort, layout: Layout | None, place: int) -> SubnetworkRow:
    trained = {name: t for name, t in sort.graph.parameters.items() if name not in sort.graph.frozen}
    weights = {name: tuple(tensor.shape[1:]) for name, tensor in trained.items()}
    kind = None if layout is None else layout.neurons[place].kind.name
    operations = tuple(layer.op for layer in sort.graph.layers)
    width = sort.width if layout is None else sum(live_width(layout, cut) for cut in sort.cuts)
    return SubnetworkRow(sort.family, sort.degree, width, operations, weights, kind)
