"""Recognize a factorization in a model of embeddings, biases among them, whichever way its forward says it.

Every value is interpreted from the inputs on: places along one axis, rows of tables (N, r), or outputs, which are a
product of rows summed over r with biases added. What is none of these makes the model something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, final

from certify.models.factors.factor_graph import look_ups
from certify.models.graph.layers import INPUT, Layer, LayerGraph
from certify.models.graph.ranks import ranks_of
from certify.models.graph.simplify import simplified
from certify.models.spec.factor_entry import FactorEntry

# Most axes of which a model's places are looked for.
_MOST_AXES = 8


@final
@dataclass(frozen=True, slots=True)
class _Table:
    """All places (N, K)."""


@final
@dataclass(frozen=True, slots=True)
class _Axis:
    """Places along one axis, (N,)."""

    axis: int


@final
@dataclass(frozen=True, slots=True)
class _Rows:
    """The product of rows of tables, (N, width)."""

    tables: Mapping[int, str]
    width: int


@final
@dataclass(frozen=True, slots=True)
class _Outputs:
    """Outputs (N,), or (N, 1) as a column: a scaled product and biases by axis, each perhaps missing."""

    column: bool
    product: Mapping[int, str] | None = None
    scale: float = 1.0
    biases: Mapping[int, str] | None = None
    constant: str | None = None
    offset: str | None = None


_Value = _Table | _Axis | _Rows | _Outputs | None


def as_factorization(graph: LayerGraph) -> LayerGraph:
    """The graph of look-ups that the model is, or the model itself where it is none."""
    if not any(layer.op in ("embedding", "take") for layer in graph.layers):
        return graph
    entry = _entry(simplified(graph))
    if entry is None or sorted(entry.names) != sorted(graph.parameters):
        return graph
    if graph.frozen != frozenset(() if entry.offset is None else (entry.offset,)):
        return graph
    factors = " and ".join(f"'{name}'" for name in entry.factors)
    note = (
        f"the product of rows of {factors} is a factorization; its samples are entries of a matrix or tensor, each "
        "given by its places, in the order of the model's inputs, and a value"
    )
    layers = look_ups(entry, {name: name for name in entry.names})
    return replace(graph, layers=layers, notes=(*graph.notes, note), inputs=(INPUT,), ranks={})


def _entry(graph: LayerGraph) -> FactorEntry | None:
    ranks = ranks_of(graph)
    alone = len(graph.inputs) == 1 and ranks[graph.inputs[0]] != 1
    values: dict[str, _Value] = {name: _Table() if alone else _Axis(axis) for axis, name in enumerate(graph.inputs)}
    for layer in graph.layers:
        values[layer.name] = _computed(graph, layer, [values[name] for name in layer.inputs])
    found = values[graph.layers[-1].name]
    if not isinstance(found, _Outputs) or found.product is None:
        return None
    order, biases = len(found.product), found.biases or {}
    if sorted(found.product) != list(range(order)) or not set(biases) <= set(range(order)) or order < 2:
        return None
    factors = tuple(found.product[axis] for axis in range(order))
    return FactorEntry(
        factors, tuple(biases.get(axis) for axis in range(order)), found.constant, found.scale, found.offset
    )


def _computed(graph: LayerGraph, layer: Layer, read: list[_Value]) -> _Value:
    """What a layer makes of what it reads."""
    attributes: Mapping[str, Any] = layer.attributes
    match layer.op, read:
        case ("trunc" | "identity", [value]):
            return value
        case "select", [_Table()] if attributes.get("dim") == 1 and 0 <= attributes["index"] < _MOST_AXES:
            return _Axis(attributes["index"])
        case "embedding", [_Axis(axis)]:
            return _Rows({axis: str(layer.weight)}, graph.weight(layer).shape[1])
        case "take", [_Axis(axis)]:
            return _Outputs(False, biases={axis: str(layer.weight)})
        case "mul", [_, _, *_]:
            return reduce(_multiplied, read)
        case "sum", [_Rows() as rows] if layer.axes == (1,):
            return _summed(rows, column=bool(attributes.get("keepdim")))
        case "scale", [_Outputs(biases=None, constant=None, offset=None) as value]:
            return replace(value, scale=value.scale * attributes["factor"])
        case "add", [_, _, *_]:
            return reduce(_added, map(_outputs, read))
        case "add_constant", [value]:
            return _shifted(graph, layer, _outputs(value))
        case _, [value]:
            return _reshaped(layer, _outputs(value))
    return None


def _multiplied(one: _Value, other: _Value) -> _Value:
    """The product of rows along different axes."""
    if not isinstance(one, _Rows) or not isinstance(other, _Rows) or one.tables.keys() & other.tables.keys():
        return None
    return _Rows({**one.tables, **other.tables}, one.width) if one.width == other.width else None


def _summed(rows: _Rows, *, column: bool) -> _Value:
    if len(rows.tables) > 1:
        return _Outputs(column, product=rows.tables)
    return _Outputs(column, biases=rows.tables) if rows.width == 1 else None


def _outputs(value: _Value) -> _Value:
    """Rows of one number are a column of outputs."""
    return _summed(value, column=True) if isinstance(value, _Rows) and value.width == 1 else value


def _added(one: _Value, other: _Value) -> _Value:
    """The sum of outputs of one shape; those of two would be broadcast to a matrix."""
    if not isinstance(one, _Outputs) or not isinstance(other, _Outputs) or one.column != other.column:
        return None
    first, second = one.biases or {}, other.biases or {}
    alone = ((one.product, other.product), (one.constant, other.constant), (one.offset, other.offset))
    if any(mine and theirs for mine, theirs in alone) or first.keys() & second.keys():
        return None
    scaled = one if one.product else other
    constant, offset = one.constant or other.constant, one.offset or other.offset
    return _Outputs(one.column, scaled.product, scaled.scale, {**first, **second} or None, constant, offset)


def _shifted(graph: LayerGraph, layer: Layer, value: _Value) -> _Value:
    """With a number added, trained or fixed."""
    name = str(layer.bias)
    shift = graph.parameters[name]
    if not isinstance(value, _Outputs) or shift.numel() != 1 or shift.ndim > 1 + value.column:
        return None
    if name in graph.frozen:
        return replace(value, offset=name) if value.offset is None else None
    return replace(value, constant=name) if value.constant is None else None


def _reshaped(layer: Layer, value: _Value) -> _Value:
    """Outputs with the axis of their one number dropped or added."""
    if not isinstance(value, _Outputs):
        return None
    shape, start = layer.attributes.get("shape"), layer.attributes.get("start_dim", 0)
    match layer.op:
        case "squeeze" if value.column and layer.axes in ((1,), ()):
            return replace(value, column=False)
        case "select" if value.column and layer.axes == (1,) and layer.attributes.get("index") in (0, -1):
            return replace(value, column=False)
        case "unsqueeze" if not value.column and layer.axes == (1,):
            return replace(value, column=True)
        case "flatten":
            return replace(value, column=value.column and start != 0)
        case "reshape" if shape in ((-1,), (-1, 1)):
            return replace(value, column=shape == (-1, 1))
    return None
