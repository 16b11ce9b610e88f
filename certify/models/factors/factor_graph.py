"""A factorization as a graph of look-ups in tables, the reference for its outputs."""

from __future__ import annotations

from certify.errors import UsageError
from certify.models.graph.layers import INPUT, Layer, LayerGraph
from certify.models.readers.weight_file import WeightFile
from certify.models.spec.factor_entry import TRANSPOSED, FactorEntry
from certify.models.spec.problem_validation import did_you_mean


def factor_graph(weights: WeightFile, entry: FactorEntry) -> LayerGraph:
    """Σ_r Π_k U_k[i_k, r] times the scale, plus biases, for inputs (N, K) that hold places.

    Raises:
        UsageError: an array that the file does not hold, or that has another shape; or one that is not listed.
    """
    where = str(weights.path or "model")
    parameters = dict(weights.parameters)
    for name in entry.names:
        if name.removeprefix(weights.prefix) not in parameters:
            raise UsageError(
                f"{where}: no array '{name}' for model.layers" + did_you_mean(name, list(parameters)),
                code="missing-parameter",
            )
    names = [name.removeprefix(weights.prefix) for name in entry.names]
    unused = sorted(parameters.keys() - set(names))
    if unused or len(set(names)) < len(names):
        found = f"array '{unused[0]}' belongs to no" if unused else "an array is named twice as"
        raise UsageError(f"{where}: {found} part of the factorization in model.layers", code="unused-parameters")
    layers: list[Layer] = []
    for axis in range(len(entry.factors)):
        layers.append(Layer("select", f"axis{axis}", (INPUT,), attributes={"dim": 1, "index": axis}))
    for axis, name in enumerate(entry.factors):
        layers.append(_table(f"factor{axis}", f"axis{axis}", name.removeprefix(weights.prefix)))
    tables = tuple(f"factor{axis}" for axis in range(len(entry.factors)))
    layers += [Layer("mul", "terms", tables), Layer("sum", "product", ("terms",), attributes={"dim": 1})]
    last = "product"
    if entry.scale != 1:
        layers.append(Layer("scale", "scaled", (last,), attributes={"factor": entry.scale}))
        last = "scaled"
    added = [last]
    for axis, bias in enumerate(entry.biases):
        if bias is not None:
            layers.append(_table(f"bias{axis}", f"axis{axis}", bias.removeprefix(weights.prefix), bias=True))
            added.append(f"bias{axis}")
    if entry.constant is not None:
        layers.append(Layer("constant", "bias", (INPUT,), {"weight": entry.constant.removeprefix(weights.prefix)}))
        added.append("bias")
    if len(added) > 1:
        layers.append(Layer("add", "outputs", tuple(added)))
    origin = (weights.format, weights.path, weights.sha256, weights.notes)
    return LayerGraph(tuple(layers), parameters, weights.prefix, *origin)


def _table(title: str, axis: str, name: str, *, bias: bool = False) -> Layer:
    """A look-up in a table (n, r), in its transpose where the name says so, or in a vector (n,) or (n, 1)."""
    attributes = {"transposed": name.endswith(TRANSPOSED), "bias": bias}
    return Layer("look_up", title, (axis,), {"weight": name.removesuffix(TRANSPOSED)}, attributes)
