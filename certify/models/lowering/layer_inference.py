"""Infer the layers of a plain two-layer network from the names and shapes of its weights, saying what was assumed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from certify.errors import UsageError
from certify.models.lowering.factor_suggestion import suggested_factorization
from certify.models.readers.formats import Format
from certify.models.readers.safetensors_file import natural_key
from certify.models.spec.layer_list import LayerEntry

Notes = tuple[str, ...]

_TRAILING_INDEX = re.compile(r"(.*?)(\d{1,9})$")


def infer_entries(parameters: Mapping[str, Tensor], source: Format, where: str) -> tuple[tuple[LayerEntry, ...], Notes]:
    """Layers that two weights spell, and the assumptions made.

    Neighboring `nn.Sequential` indices mean no activation, an index left out means one parameterless layer,
    taken as ReLU; so is whatever runs between layers with names.

    Raises:
        UsageError: the names and shapes do not tell; shows what to write.
    """
    if suggested_factorization(parameters) is not None:
        raise layers_needed(where, parameters, "its arrays look like factors and biases")
    names = _layer_names(parameters)
    if names is None or len(names) != 2:
        raise layers_needed(where, parameters, "its weights are not those of a plain two-layer network")
    first, second = _ordered(names, parameters, source, where)
    gap = _index_gap(first, second)
    if gap is not None and gap > 2:
        raise layers_needed(where, parameters, f"{gap - 1} layers without weights run between them")
    if gap == 1 and _is_sequential(first):
        assumed = f"assumed: no activation between '{first}' and '{second}' (neighbors in nn.Sequential)"
        return (LayerEntry("linear", first), LayerEntry("linear", second)), (assumed,)
    assumed = f"assumed: relu between '{first}' and '{second}'; state model.layers in the problem file to be sure"
    return (LayerEntry("linear", first), LayerEntry("relu"), LayerEntry("linear", second)), (assumed,)


def layers_needed(where: str, parameters: Mapping[str, Tensor], reason: str) -> UsageError:
    """The error that asks for `layers:`, with lines to paste that name the layers found."""
    if (factorization := suggested_factorization(parameters)) is not None:
        return UsageError(
            f"{where}: cannot tell the layers: {reason}; write them in the problem file, such as "
            f"`model: {{path: {where}, layers: [{factorization}]}}`, with scale or offset where the model has them, "
            "or give --layers",
            code="layers-needed",
        )
    found = list(dict.fromkeys(name.rpartition(".")[0] for name in parameters if name.endswith(".weight")))
    names = (found + ["NAME1", "NAME2"])[: max(2, min(len(found), 6))] if found else ["NAME1", "NAME2"]
    lines = "[" + ", relu, ".join(f"{{linear: {name}}}" for name in names) + "]"
    return UsageError(
        f"{where}: cannot tell the layers: {reason}; write them in the problem file, such as "
        f"`model: {{path: {where}, layers: {lines}}}` (relu, leaky_relu: SLOPE, abs, square, or nothing between), "
        "or give --layers",
        code="layers-needed",
    )


def _layer_names(parameters: Mapping[str, Tensor]) -> list[str] | None:
    """Names of the layers, in order, or None if some parameter is not a matrix `.weight` or its `.bias`."""
    weights = [n.removesuffix(".weight") for n, t in parameters.items() if n.endswith(".weight") and t.ndim == 2]
    allowed = {f"{name}{kind}" for name in weights for kind in (".weight", ".bias")}
    return weights if set(parameters) <= allowed else None


def _ordered(names: list[str], parameters: Mapping[str, Tensor], source: Format, where: str) -> tuple[str, str]:
    first, second = names
    if _index_gap(first, second) is not None:
        first, second = sorted(names, key=natural_key)
        if not _chains(parameters, first, second):
            raise layers_needed(where, parameters, "their shapes do not chain in the order of their numbers")
        return first, second
    forward, backward = _chains(parameters, first, second), _chains(parameters, second, first)
    if forward and (source != "safetensors" or not backward):
        return first, second
    if backward and not forward:
        return second, first
    reason = "either of the two weights may come first" if forward else "the shapes of its weights do not chain"
    raise layers_needed(where, parameters, reason)


def _chains(parameters: Mapping[str, Tensor], first: str, second: str) -> bool:
    return parameters[f"{first}.weight"].shape[0] == parameters[f"{second}.weight"].shape[1]


def _index_gap(first: str, second: str) -> int | None:
    """Distance of the trailing numbers of two names that are otherwise the same, or None."""
    one, other = _TRAILING_INDEX.match(first), _TRAILING_INDEX.match(second)
    if one is None or other is None or one.group(1) != other.group(1):
        return None
    gap = abs(int(other.group(2)) - int(one.group(2)))
    return gap if gap and _is_sequential(first) else min(gap, 1) or None


def _is_sequential(name: str) -> bool:
    return name.rpartition(".")[2].isdecimal()
