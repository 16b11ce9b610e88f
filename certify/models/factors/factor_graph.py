"""A factorization as a graph of look-ups in tables, the reference for its outputs."""

from __future__ import annotations

from collections.abc import Mapping

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
    # One number of an archive of arrays is a setting, unless it is named.
    settings = [n for n, t in parameters.items() if weights.format == "npz" and not t.ndim and n not in names]
    parameters = {name: tensor for name, tensor in parameters.items() if name not in settings}
    unused = sorted(parameters.keys() - set(names))
    if unused or len(set(names)) < len(names):
        found = f"array '{unused[0]}' belongs to no" if unused else "an array is named twice as"
        same = len(entry.factors) == 2 and len({name.removesuffix(TRANSPOSED) for name in entry.factors}) == 1
        hint = "; U Uᵀ of one array is layers: [{tied: U.T}], with the matrix as data" if same else ""
        raise UsageError(f"{where}: {found} part of the factorization in model.layers{hint}", code="unused-parameters")
    left_out = (f"left out: numbers {', '.join(map(repr, settings))}, which model.layers does not name",)
    notes = (*weights.notes, *(left_out if settings else ()))
    origin = (weights.format, weights.path, weights.sha256, notes)
    layers = look_ups(entry, {name: name.removeprefix(weights.prefix) for name in entry.names})
    fixed = frozenset(() if entry.offset is None else (entry.offset.removeprefix(weights.prefix),))
    return LayerGraph(layers, parameters, weights.prefix, *origin, frozen=fixed)


def look_ups(entry: FactorEntry, names: Mapping[str, str]) -> tuple[Layer, ...]:
    """The layers, for inputs (N, K) that hold places.

    Args:
        entry: which arrays are what.
        names: of its parameters in the graph, by those of the entry.
    """
    axes = tuple(f"axis{axis}" for axis in range(len(entry.factors)))
    layers = [Layer("select", name, (INPUT,), attributes={"dim": 1, "index": k}) for k, name in enumerate(axes)]
    factors = [_table(axis, name, names) for axis, name in zip(axes, entry.factors, strict=True)]
    layers += [*factors, Layer("mul", "terms", tuple(layer.name for layer in factors))]
    layers.append(Layer("sum", "product", ("terms",), attributes={"dim": 1}))
    if entry.scale != 1:
        layers.append(Layer("scale", "scaled", ("product",), attributes={"factor": entry.scale}))
    added = [layers[-1].name]
    biases = zip(axes, entry.biases, strict=True)
    rows = [_table(axis, name, names, bias=True) for axis, name in biases if name is not None]
    if entry.constant is not None:
        rows.append(Layer("constant", f"constant:{entry.constant}", (INPUT,), {"weight": names[entry.constant]}))
    if entry.offset is not None:
        rows.append(Layer("fixed", f"offset:{entry.offset}", (INPUT,), {"weight": names[entry.offset]}))
    if rows:
        layers += [*rows, Layer("add", "outputs", (*added, *(layer.name for layer in rows)))]
    return tuple(layers)


def _table(axis: str, name: str, names: Mapping[str, str], *, bias: bool = False) -> Layer:
    """A look-up in a table (n, r), in its transpose where the name says so, or in a vector (n,) or (n, 1)."""
    plain, attributes = name.removesuffix(TRANSPOSED), {"transposed": name.endswith(TRANSPOSED), "bias": bias}
    return Layer("look_up", f"{axis}:{plain.removesuffix('.weight')}", (axis,), {"weight": names[plain]}, attributes)
