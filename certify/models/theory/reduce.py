"""Networks that are a two-layer network in other words, written as one; the objective stays the same to the last bit.

Branches of units on the same inputs are one hidden layer, and the inner product of two embeddings is U Vᵀ: two linear
layers on one-hot rows. Every weight keeps its value, so that weight decay is that of the model as it is.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from certify.models.graph.layers import INPUT, Layer, LayerGraph
from certify.models.graph.simplify import bypassed, simplified
from certify.models.theory.degrees import degrees_of
from certify.models.theory.parallel import Kind, ParallelForm, parallel_form
from certify.models.theory.single_layer import as_single_layer
from certify.models.theory.terms import terms_of
from certify.models.theory.two_layer import FAMILIES, two_layer_form


def reduced(graph: LayerGraph) -> LayerGraph:
    """The graph simplified, on tables, and as two layers where it can be written so."""
    plain = on_tables(simplified(graph))
    single = as_single_layer(plain)
    if single is not None:
        return single
    if two_layer_form(plain) is not None or degrees_of(plain).breaks:
        return plain
    return as_two_layers(plain, parallel_form(plain)) or plain


def on_tables(graph: LayerGraph) -> LayerGraph:
    """The graph for inputs (n, d) and outputs (n, c), which flattening the one or dropping an axis of the other is not.

    Args:
        graph: simplified.
    """
    flattening = next((layer for layer in graph.layers if _flattens_inputs(graph, layer)), None)
    while flattening is not None:
        graph = _as_table(graph, flattening)
        flattening = next((layer for layer in graph.layers if _flattens_inputs(graph, layer)), None)
    last = graph.layers[-1] if graph.layers else None
    before = None if last is None else graph.layer(last.inputs[0])
    single = before is not None and before.op == "linear" and graph.weight(before).shape[0] == 1
    if (
        last is not None
        and single
        and (
            last.attributes.get("dim") in (1, (1,))
            if last.op == "squeeze"
            else last.op == "flatten" and _starts_at(last, 0)
        )
    ):
        return _as_table(graph, last)
    return graph


def _as_table(graph: LayerGraph, reshaping: Layer) -> LayerGraph:
    return bypassed(replace(graph, ends=replace(graph.ends, reshaped=True)), reshaping)


def _flattens_inputs(graph: LayerGraph, layer: Layer) -> bool:
    """Whether a layer makes a table of the inputs for linear layers, or for another that does."""
    if layer.op != "flatten" or layer.inputs[0] not in graph.inputs or not _starts_at(layer, 1):
        return False
    readers = graph.readers(layer.name)
    return bool(readers) and all(reader.op in ("linear", "flatten") for reader in readers)


def _starts_at(layer: Layer, axis: int) -> bool:
    return layer.attributes.get("start_dim", 0) == axis


def as_two_layers(graph: LayerGraph, form: ParallelForm) -> LayerGraph | None:
    """A simplified graph as two layers, None if it is something else.

    Args:
        graph: without breaks of homogeneity.
        form: its parallel subnetworks.
    """
    if len(form.kinds) != 1:
        return None
    (kind,) = form.kinds
    if kind.family == "matrix-factorization":
        return _factorization(graph, kind)
    layers = kind.graph.layers
    chained = all(layer.inputs == (before.name,) for before, layer in zip(layers[:-1], layers[1:], strict=True))
    ops = tuple(layer.op for layer in layers)
    linear = ops[0] == ops[-1] == "linear" and layers[0].inputs == graph.inputs
    return _one_hidden_layer(graph, kind) if linear and chained and ops[1:-1] in FAMILIES else None


def _one_hidden_layer(graph: LayerGraph, kind: Kind) -> LayerGraph | None:
    first, last = kind.graph.layers[0], kind.graph.layers[-1]
    outside = _outside(graph)
    if outside is None:
        return None
    bias, skip = outside
    found = kind.graph.parameters
    ends = {"weight": last.parameters["weight"]} | ({} if bias is None else {"bias": bias})
    parameters = {name: found[name].flatten(0, 1) for name in first.parameters.values()}
    parameters[ends["weight"]] = found[ends["weight"]].squeeze(2).T.contiguous()
    kept = [bias, *([] if skip is None else skip.parameters.values())]
    parameters |= {name: graph.parameters[name] for name in kept if name is not None}
    layers = (*kind.graph.layers[:-1], replace(last, parameters=ends))
    if skip is not None:
        layers = (*layers, skip, Layer("add", f"{last.name}+{skip.name}", (last.name, skip.name)))
    note = (
        f"its branches are one hidden layer of {kind.width} units, the same function with the same penalty; a model "
        "that is written has that form"
    )
    return _rewritten(graph, layers, parameters, note)


def _outside(graph: LayerGraph) -> tuple[str | None, Layer | None] | None:
    """Name of the output bias, and the linear skip; None if there is more than a two-layer network has."""
    values, biases, skips = degrees_of(graph).values, [], []
    for term in terms_of(graph):
        layer = graph.layer(term.node)
        if layer is None or term.after or not term.by_inputs:
            return None
        if values[term.node] == 1 and layer.op == "linear" and layer.inputs == graph.inputs:
            skips.append(layer)
        elif (values[term.node] or 0) >= 2:
            biases += [layer.bias] if layer.bias else []
        else:
            return None
    # Two biases that are added are penalized each on its own, which one bias cannot say.
    if len(biases) > 1 or len(skips) > 1:
        return None
    return (biases[0] if biases else None), (skips[0] if skips else None)


def _factorization(graph: LayerGraph, kind: Kind) -> LayerGraph | None:
    embeddings = [layer for layer in kind.graph.layers if layer.op == "embedding"]
    reads = [layer.inputs for layer in embeddings]
    if len(terms_of(graph)) != 1 or sorted(reads) != sorted((name,) for name in graph.inputs):
        return None
    rows, columns = sorted(embeddings, key=lambda layer: graph.inputs.index(layer.inputs[0]))
    found = kind.graph.parameters
    first, second = rows.parameters["weight"], columns.parameters["weight"]
    layers = (
        Layer("linear", rows.name, (INPUT,), {"weight": first}),
        Layer("linear", columns.name, (rows.name,), {"weight": second}),
    )
    parameters = {first: found[first].squeeze(2), second: found[second].squeeze(2).T.contiguous()}
    note = (
        f"the inner product of '{rows.name}' and '{columns.name}' is a matrix factorization; its data are a matrix to "
        "complete (.npz with rows, cols, values, shape); a model that is written is two linear layers"
    )
    return _rewritten(graph, layers, parameters, note)


def _rewritten(graph: LayerGraph, layers: tuple[Layer, ...], parameters: dict[str, Tensor], note: str) -> LayerGraph:
    inputs = graph.inputs if layers[0].inputs == graph.inputs else (INPUT,)
    return replace(graph, layers=layers, parameters=parameters, notes=(*graph.notes, note), inputs=inputs, folded=True)
