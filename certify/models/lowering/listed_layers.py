"""A graph from weights and a list of layers: a chain, and perhaps a linear layer from the inputs to the outputs."""

from __future__ import annotations

from dataclasses import replace

from certify.errors import UsageError
from certify.models.factors.factor_graph import factor_graph
from certify.models.graph.layers import INPUT, Layer, LayerGraph
from certify.models.graph.operations import Attribute
from certify.models.graph.parameter_shapes import is_tied
from certify.models.lowering.adapter import adapter_entries, unscaled_note
from certify.models.lowering.layer_inference import infer_entries
from certify.models.readers.weight_file import WeightFile
from certify.models.spec.factor_entry import TRANSPOSED, FactorEntry
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
    if len(chain) > 1 and any(layer.op == "tied" for layer in chain):
        raise UsageError(
            f"{where}: model.layers: 'tied' is a whole chain; no other layers stand in it", "layers-needed"
        )
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
    if entry.op == "tied":
        return _tied(entry, weights, where)
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


def _tied(entry: LayerEntry, weights: WeightFile, where: str) -> Layer:
    """A layer and its transpose: the parameters that are named, or those of a layer of that name."""
    name = str(entry.name).removesuffix(TRANSPOSED)
    names = {role: key.removesuffix(TRANSPOSED).removeprefix(weights.prefix) for role, key in entry.roles}
    if not names:
        own = name.removeprefix(weights.prefix)
        found = {"weight": f"{own}.weight", "hidden_bias": f"{own}.bias"}
        alone = own in weights.parameters
        names = {"weight": own} if alone else {r: key for r, key in found.items() if key in weights.parameters}
    for key in (*names.values(), *(() if names else (name,))):
        if key not in weights.parameters:
            known = list(weights.parameters)
            message = f"{where}: no parameter '{key}' for 'tied' in model.layers"
            raise UsageError(message + did_you_mean(key, known), code="missing-parameter")
    order = [role for role in ("weight", "hidden_bias", "bias") if role in names]
    attributes: dict[str, Attribute] = {"transposed": True} if str(entry.name).endswith(TRANSPOSED) else {}
    layer = Layer("tied", name.removesuffix(".weight"), (INPUT,), {r: names[r] for r in order}, attributes)
    if not is_tied({role: weights.parameters[key] for role, key in names.items()}, transposed=bool(attributes)):
        shapes = ", ".join(f"'{key}' {tuple(weights.parameters[key].shape)}" for key in names.values())
        needed = "the weight (d, r)" if attributes else "the weight (r, d), or NAME.T where it is (d, r)"
        message = (
            f"{where}: 'tied' in model.layers has {shapes}; needs {needed}, a hidden bias (r,), an output bias (d,)"
        )
        raise UsageError(message, code="shape-mismatch")
    return layer


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
