"""A graph from weights and a list of layers: a chain, and perhaps a linear layer from the inputs to the outputs."""

from __future__ import annotations

from dataclasses import replace

from certify.errors import UsageError
from certify.models.factors.factor_graph import factor_graph
from certify.models.graph.layers import INPUT, Layer, LayerGraph
from certify.models.lowering.adapter import adapter_entries, unscaled_note
from certify.models.lowering.layer_inference import infer_entries
from certify.models.readers.weight_file import WeightFile
from certify.models.spec.factor_entry import FactorEntry
from certify.models.spec.layer_list import WITH_WEIGHTS, LayerEntry
from certify.models.spec.problem_validation import did_you_mean

# Linear layers from the inputs to the outputs, trained or not.
BESIDE = ("skip", "frozen")
# Parameters of a layer, by the last part of their names.
ROLES = ("weight", "bias", "running_mean", "running_var")


def build_graph(weights: WeightFile, entries: tuple[LayerEntry, ...] | FactorEntry | None) -> LayerGraph:
    """Layers and weights together.

    Args:
        weights: the parameters.
        entries: the `layers:` list; None to infer it from the names.

    Raises:
        UsageError: the list and the weights do not fit, or the names do not tell the layers.
    """
    if isinstance(entries, FactorEntry):
        return factor_graph(weights, entries)
    where, notes = str(weights.path or "model"), weights.notes
    if entries is None:
        found = adapter_entries(weights) or infer_entries(weights.parameters, weights.format, where)
        entries, assumed = found
        notes = (*notes, *assumed)
    else:
        notes = (*notes, *unscaled_note(weights, entries))
    layers = [_layer(entry, weights, where) for entry in entries]
    beside = {op: [x for x, entry in zip(layers, entries, strict=True) if entry.op == op] for op in BESIDE}
    for op, several in beside.items():
        if len(several) > 1:
            raise UsageError(f"{where}: model.layers: at most one {op} layer, found {len(several)}", "layers-needed")
    skips = [layer for several in beside.values() for layer in several]
    frozen = frozenset(name for layer in beside["frozen"] for name in layer.parameters.values())
    _require_all_used(layers, weights, where)
    chain = [layer for layer in layers if layer not in skips and layer.op != "identity"]
    origin = (weights.format, weights.path, weights.sha256, notes)
    return LayerGraph(_connected(chain, skips), weights.parameters, weights.prefix, *origin, frozen=frozen)


def _connected(chain: list[Layer], skips: list[Layer]) -> tuple[Layer, ...]:
    """Each layer reading the one before, and the sum with a skip at the end; names made unique."""
    layers: list[Layer] = []
    taken, last = {INPUT}, INPUT
    for layer in chain:
        layers.append(replace(layer, name=_unique(layer.name, taken), inputs=(last,)))
        last = layers[-1].name
        taken.add(last)
    for skip in skips:
        beside = replace(skip, name=_unique(skip.name, taken))
        taken.add(beside.name)
        layers += [beside, Layer("add", _unique("add", taken), (last, beside.name))]
    return tuple(layers)


def _unique(name: str, taken: set[str]) -> str:
    free = (name if index == 1 else f"{name}_{index}" for index in range(1, len(taken) + 2))
    return next(candidate for candidate in free if candidate not in taken)


def _layer(entry: LayerEntry, weights: WeightFile, where: str) -> Layer:
    if entry.name is None:
        return Layer(entry.op, entry.op, attributes=dict(entry.attributes))
    name = entry.name.removeprefix(weights.prefix)
    # A module that is one layer has a nameless layer.
    names = {role: f"{name}.{role}" if name else role for role in ROLES}
    if entry.op in WITH_WEIGHTS and names["weight"] not in weights.parameters:
        layers = [key.removesuffix(".weight") for key in weights.parameters if key.endswith(".weight")]
        raise UsageError(
            f"{where}: no parameter '{names['weight']}' for layer '{entry.name}'" + did_you_mean(name, layers),
            code="missing-parameter",
        )
    op = "linear" if entry.op in BESIDE else entry.op
    found = {role: key for role, key in names.items() if key in weights.parameters}
    return Layer(op, name or op, parameters=found)


def _require_all_used(layers: list[Layer], weights: WeightFile, where: str) -> None:
    used = [name for layer in layers for name in layer.parameters.values()]
    others = {layer.name for layer in layers if layer.op != "linear"}
    unused = [n for n in weights.parameters if n not in used and n.rpartition(".")[0] not in others]
    if unused:
        raise UsageError(
            f"{where}: parameter '{unused[0]}' belongs to no layer of model.layers; list every layer, or save the "
            "weights without it",
            code="unused-parameters",
        )
    if len(used) != len(set(used)):
        raise UsageError(f"{where}: model.layers: a layer is listed twice", code="tied-weights")
