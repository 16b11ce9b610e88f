"""The entries `factorization:` and `cp:` of a `layers:` list: which arrays of a file are factors and biases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

# A name ends so where the file holds the factor with one column for each row of the matrix, as H of W H.
TRANSPOSED = ".T"
_KEYS = ("left", "right", "row_bias", "column_bias", "global_bias", "scale", "offset")


@final
@dataclass(frozen=True, slots=True)
class FactorEntry:
    """Names of arrays.

    Attributes:
        factors: of every axis.
        biases: of every axis, None where there is none.
        constant: of the bias of all entries, or None.
        scale: factor on the product of the factors.
        offset: of a matrix that is added and not trained, or None.
    """

    factors: tuple[str, ...]
    biases: tuple[str | None, ...]
    constant: str | None = None
    scale: float = 1.0
    offset: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All arrays, as the file names them."""
        factors = (name.removesuffix(TRANSPOSED) for name in self.factors)
        others = (*self.biases, self.constant, self.offset)
        return (*factors, *(name for name in others if name is not None))


def factorization_entry(content: Any) -> FactorEntry:  # noqa: ANN401
    """What `factorization: {left: U, right: V, …}` says.

    Raises:
        ValueError: other keys, or values of other types.
    """
    if not isinstance(content, Mapping) or not {"left", "right"} <= content.keys() <= set(_KEYS):
        raise ValueError(f"'factorization' needs left and right, and knows {', '.join(_KEYS[2:])}; found {content!r}")
    names = {key: _name(key, value) for key, value in content.items() if key != "scale" and value is not None}
    scale = content.get("scale", 1.0)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < abs(scale) < float("inf"):
        raise ValueError(f"'factorization': scale must be a number other than 0, found {scale!r}")
    return FactorEntry(
        (names["left"], names["right"]),
        (names.get("row_bias"), names.get("column_bias")),
        names.get("global_bias"),
        float(scale),
        names.get("offset"),
    )


def cp_entry(content: Any) -> FactorEntry:  # noqa: ANN401
    """What `cp: [A, B, C]` says.

    Raises:
        ValueError: not three or four names.
    """
    if not isinstance(content, list | tuple) or not 3 <= len(content) <= 4:
        raise ValueError(f"'cp' needs the names of three or four factors, found {content!r}")
    return FactorEntry(tuple(_name("cp", name) for name in content), (None,) * len(content))


def _name(key: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value):
        raise ValueError(f"'{key}' needs the name of an array, found {value!r}")
    return str(value)
