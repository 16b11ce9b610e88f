"""The `layers:` list of a problem file: what each entry may be, and what it means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from certify.models.spec.factor_entry import FactorEntry, cp_entry, factorization_entry

# Other spellings that users write, and the operation meant.
ALIASES = {"quadratic": "square", "leakyrelu": "leaky_relu", "logsoftmax": "log_softmax"}
# Operations that read a weight, so that the entry must name a layer of the file.
WITH_WEIGHTS = ("linear", "skip", "frozen")


@final
@dataclass(frozen=True, slots=True)
class LayerEntry:
    """One entry of the list.

    Attributes:
        op: operation, named as in ATen; `skip` is a linear layer from input to output beside the others, `frozen` one
            that is not trained.
        name: name of the layer in the file, or None for an operation without weights.
        attributes: constants of the operation, as `(name, value)`.
        roles: names of the parameters of a layer that names each of them, as `(role, name)`.
    """

    op: str
    name: str | None = None
    attributes: tuple[tuple[str, float], ...] = ()
    roles: tuple[tuple[str, str], ...] = ()


# Entries that list a whole model, and what reads them.
WHOLE = {"factorization": factorization_entry, "cp": cp_entry}

Entry = LayerEntry | FactorEntry
Listed = tuple[LayerEntry, ...] | FactorEntry


def parse_layer(entry: Any) -> Entry:  # noqa: ANN401
    """One entry: `relu`, `{leaky_relu: SLOPE}`, `{scale: FACTOR}`, `{linear: NAME}`, `{skip: NAME}`, `{frozen: NAME}`.

    Others are judged later.

    `{tied: NAME}` or `{tied: {weight: W, hidden_bias: b, output_bias: c}}` is a linear layer and its transpose;
    `{factorization: {left: U, right: V}}` and `{cp: [A, B, C]}` say what a whole model is.

    Raises:
        ValueError: anything else, saying what is needed.
    """
    match entry:
        case LayerEntry() | FactorEntry():
            return entry
        case str() if (op := _operation(entry)) not in WITH_WEIGHTS:
            return LayerEntry(op)
        case str():
            raise ValueError(f"'{entry}' needs the name of the layer: write '{entry}: NAME'")
        case dict() if len(entry) == 1:
            ((op, name),) = entry.items()
            if op in WHOLE:
                return WHOLE[op](name)
            if isinstance(op, str) and _operation(op) == "leaky_relu":
                return LayerEntry("leaky_relu", None, (("negative_slope", _slope(name)),))
            if op == "tied":
                return _tied(name)
            if op == "scale":
                return LayerEntry("scale", None, (("factor", scale_factor(name)),))
            # `linear: 0` names the first layer of an nn.Sequential.
            if isinstance(op, str) and isinstance(name, str | int) and not isinstance(name, bool):
                return LayerEntry(_operation(op), str(name))
    raise ValueError("a layer is 'linear: NAME', 'skip: NAME', 'relu', 'leaky_relu: SLOPE', 'abs' or 'square'")


def parse_layers(entries: Sequence[Any]) -> Listed:
    """All entries, or the one that is the whole model; see `parse_layer`.

    Raises:
        ValueError: an entry that is not known, or others beside one that is the whole model.
    """
    found = [parse_layer(entry) for entry in entries]
    whole = [entry for entry in found if isinstance(entry, FactorEntry)]
    if whole and len(found) > 1:
        raise ValueError("'factorization' and 'cp' list a whole model; no other layers stand beside them")
    return whole[0] if whole else tuple(entry for entry in found if isinstance(entry, LayerEntry))


def layers_of_text(text: str) -> tuple[Any, ...]:
    """The list as one line: `linear:fc1,relu,linear:fc2`, `factorization:U,V,row_bias=b,scale=2` or `cp:A,B,C`.

    Raises:
        ValueError: an entry that is not known.
    """
    op, _, rest = text.partition(":")
    if op.strip() in WHOLE:
        parts = [part.strip() for part in rest.split(",")]
        entries: tuple[Any, ...] = ({op.strip(): parts if op.strip() == "cp" else _named(parts)},)
    else:
        entries = tuple(_one(part) for part in text.split(","))
    parse_layers(entries)
    return entries


def _named(parts: list[str]) -> dict[str, str | float]:
    """Left and right factor by their places, and everything else by its key."""
    found: dict[str, str | float] = {}
    for place, part in zip(("left", "right", *parts[2:]), parts, strict=False):
        key, separator, value = part.partition("=")
        found[key if separator else place] = value if separator else part
    try:
        return found | ({"scale": float(found["scale"])} if "scale" in found else {})
    except ValueError:
        raise ValueError(f"'factorization': scale must be a number other than 0, found {found['scale']!r}") from None


def _one(text: str) -> str | dict[str, str]:
    op, separator, name = (part.strip() for part in text.partition(":"))
    return {op: name} if separator else op


def scale_factor(value: object) -> float:
    """A factor on what comes before.

    Raises:
        ValueError: no number, or 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < abs(value) < math.inf:
        raise ValueError(f"'scale' needs a number other than 0, found {value!r}")
    return float(value)


def _tied(value: object) -> LayerEntry:
    """A linear layer followed by its transpose: its name, or those of its parameters; `W.T` for W stored (d, r)."""
    if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
        return LayerEntry("tied", str(value))
    known = {"weight": "weight", "hidden_bias": "hidden_bias", "output_bias": "bias"}
    if not isinstance(value, dict) or not {"weight"} <= value.keys() <= known.keys():
        raise ValueError(f"'tied' needs the name of a layer, or weight, hidden_bias and output_bias; found {value!r}")
    if not all(isinstance(name, str) and name for name in value.values()):
        raise ValueError(f"'tied' needs the names of parameters, found {value!r}")
    return LayerEntry("tied", value["weight"], roles=tuple((known[key], name) for key, name in value.items()))


def _slope(value: object) -> float:
    try:
        slope = float(str(value))
    except ValueError:
        slope = math.nan
    if not math.isfinite(slope):
        raise ValueError(f"'leaky_relu' needs its slope below zero, a number; found {value!r}")
    return slope


def _operation(text: str) -> str:
    name = text.strip().lower()
    return ALIASES.get(name, name)
