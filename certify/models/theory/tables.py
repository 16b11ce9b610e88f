"""Models in the words of tables: inputs (n, d) and outputs (n, c), and inner products of embeddings as two layers."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from certify.models.graph.layers import INPUT, Layer, LayerGraph
from certify.models.graph.simplify import bypassed, simplified
from certify.models.theory.terms import CHANNEL, terms_of


def plain_graph(graph: LayerGraph) -> LayerGraph:
    """The graph simplified, on tables, and an inner product of embeddings as two linear layers."""
    plain = on_tables(simplified(graph))
    return _factorization(plain) or plain


def on_tables(graph: LayerGraph) -> LayerGraph:
    """The graph for inputs (n, d) and outputs (n, c), which flattening the one or dropping an axis of the other is not.

    Args:
        graph: simplified.
    """
    while flattening := next((layer for layer in graph.layers if _flattens_inputs(graph, layer)), None):
        graph = _as_table(replace(graph, ranks={**graph.ranks, flattening.inputs[0]: 2}), flattening)
    last = graph.layers[-1] if graph.layers else None
    before = None if last is None else graph.layer(last.inputs[0])
    single = before is not None and before.op == "linear" and graph.weight(before).shape[:1] == (1,)
    return _as_table(graph, last) if last is not None and single and _drops_an_axis(last) else graph


def _drops_an_axis(layer: Layer) -> bool:
    if layer.op == "squeeze":
        return layer.axes == (CHANNEL,)
    return layer.op == "flatten" and layer.attributes.get("start_dim", 0) == 0


def _as_table(graph: LayerGraph, reshaping: Layer) -> LayerGraph:
    return bypassed(replace(graph, ends=replace(graph.ends, reshaped=True)), reshaping)


def _flattens_inputs(graph: LayerGraph, layer: Layer) -> bool:
    """Whether a layer makes a table of the inputs for linear layers, or another such, as all that read them do."""
    if layer.op != "flatten" or layer.inputs[0] not in graph.inputs or layer.attributes.get("start_dim", 0) != 1:
        return False
    readers, beside = graph.readers(layer.name), graph.readers(layer.inputs[0])
    alone = graph.ranks.get(layer.inputs[0]) == 2 or all(reader.op == "flatten" for reader in beside)
    return alone and bool(readers) and all(reader.op in ("linear", "flatten") for reader in readers)


def _factorization(graph: LayerGraph) -> LayerGraph | None:
    """The inner product of two embeddings is U Vᵀ: two linear layers on one-hot rows, with the same weights."""
    embeddings = [layer for layer in graph.layers if layer.op == "embedding"]
    others = [layer.op for layer in graph.layers if layer.op != "embedding"]
    reads = sorted(layer.inputs for layer in embeddings)
    if len(embeddings) != 2 or others != ["mul", "sum"] or reads != sorted((name,) for name in graph.inputs):
        return None
    if len(terms_of(graph)) != 1 or len({layer.weight for layer in embeddings}) != 2:
        return None
    rows, columns = sorted(embeddings, key=lambda layer: graph.inputs.index(layer.inputs[0]))
    first, second = rows.parameters["weight"], columns.parameters["weight"]
    layers = (
        Layer("linear", rows.name, (INPUT,), {"weight": first}),
        Layer("linear", columns.name, (rows.name,), {"weight": second}),
    )
    # A linear layer holds (outputs, inputs): the rows' table is transposed, the columns' is not.
    parameters = {first: graph.parameters[first].T.contiguous(), second: graph.parameters[second].contiguous()}
    note = (
        f"the inner product of '{rows.name}' and '{columns.name}' is a matrix factorization; its data are a matrix to "
        "complete (.npz with rows, cols, values, shape); a model that is written is two linear layers"
    )
    notes = (*graph.notes, note)
    return replace(graph, layers=layers, parameters=parameters, notes=notes, inputs=(INPUT,), folded=True, ranks={})


def with_units(graph: LayerGraph) -> tuple[LayerGraph, frozenset[str]]:
    """The graph with one unit of zeros where a weight reads none, and the names of the parameters so changed."""
    units: dict[str, Tensor] = {}
    for layer in graph.layers:
        product = layer.op == "mul" and not any(x.weight and layer.name in x.inputs for x in graph.layers)
        blank = layer.weight is not None and graph.weight(layer).shape[1:2] == (0,)
        if not (product or blank):
            continue
        makers = [maker for name in layer.inputs for maker in _makers(graph, name)]
        if product and any(len(graph.weight(maker)) for maker in makers):
            continue
        if layer.weight is not None:
            tensor = graph.weight(layer)
            trained = sum(not graph.is_frozen(maker) for maker in makers)
            units[layer.weight] = tensor.new_zeros(tensor.shape[0], max(trained, 1), *tensor.shape[2:])
        names = [name for maker in makers for name in maker.parameters.values()]
        units |= {name: graph.parameters[name].new_zeros(1, *graph.parameters[name].shape[1:]) for name in names}
    return replace(graph, parameters={**graph.parameters, **units}), frozenset(units)


def _makers(graph: LayerGraph, name: str) -> list[Layer]:
    """The layers with weights that a value comes from, through layers without."""
    layer = graph.layer(name)
    if layer is None or layer.weight is not None:
        return [] if layer is None else [layer]
    return [maker for read in layer.inputs for maker in _makers(graph, read)]
