"""Guess, from names and shapes, which arrays of a file would be the factors and biases of a factorization."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

from certify.models.spec.factor_entry import TRANSPOSED

# Words in names of factors, of either side, as libraries and tutorials call them.
_LEFT = re.compile(r"user|row|left|\b[upwq]\b|_u\b|components|embed\w*\.0|factors?\.0")
_RIGHT = re.compile(
    r"item|movie|book|product|song|track|artist|column|col\b|right|\b[vh]\b|_v\b|embed\w*\.1|factors?\.1"
)
_NEUTRAL = re.compile(r"embed|factor|latent")
_BIAS_KEYS = ("row_bias", "column_bias")


def suggested_factorization(parameters: Mapping[str, Tensor]) -> str | None:
    """The entry of `layers:` that fits names and shapes, in YAML; None where they do not look like a factorization."""
    tables = [(name, tensor) for name, tensor in parameters.items() if tensor.ndim == 2 and 1 not in tensor.shape[1:]]
    settled = _pair(tables)
    if settled is None or not _looks_so(tables):
        return None
    (left, rows), (right, columns) = settled
    entry = {"left": left, "right": right}
    for name, tensor in parameters.items():
        if name in (left.removesuffix(TRANSPOSED), right.removesuffix(TRANSPOSED)):
            continue
        key = _bias_key(name, tensor, (rows, columns), set(entry))
        if key is not None:
            entry[key] = name
        elif tensor.ndim:
            return None
    return "{factorization: {" + ", ".join(f"{key}: {name}" for key, name in entry.items()) + "}}"


def _looks_so(tables: list[tuple[str, Tensor]]) -> bool:
    words = [name.lower() for name, _ in tables]
    sides = any(map(_LEFT.search, words)) and any(map(_RIGHT.search, words))
    return sides or all(map(_NEUTRAL.search, words))


def _pair(tables: list[tuple[str, Tensor]]) -> tuple[tuple[str, int], tuple[str, int]] | None:
    """Names and extents of the left and the right factor, a transposed one marked."""
    if len(tables) != 2:
        return None
    first, second = tables
    if _RIGHT.search(first[0].lower()) and _LEFT.search(second[0].lower()) and not _LEFT.search(first[0].lower()):
        first, second = second, first
    return next(_fits(first, second), None)


def _fits(first: tuple[str, Tensor], second: tuple[str, Tensor]) -> Iterator[tuple[tuple[str, int], tuple[str, int]]]:
    """Ways in which the ranks of two tables agree: rows for places in both, or columns in one of them."""
    (left, one), (right, other) = first, second
    if one.shape[1] == other.shape[1]:
        yield (left, one.shape[0]), (right, other.shape[0])
    if one.shape[1] == other.shape[0]:
        yield (left, one.shape[0]), (right + TRANSPOSED, other.shape[1])
    if one.shape[0] == other.shape[1]:
        yield (left + TRANSPOSED, one.shape[1]), (right, other.shape[0])


def _bias_key(name: str, tensor: Tensor, extents: tuple[int, int], taken: set[str]) -> str | None:
    """Which bias an array can be, by its size and, where both sides have it, by its name."""
    numbers = tensor.numel()
    if numbers == 1 and "global_bias" not in taken and max(extents) > 1 and tensor.ndim:
        return "global_bias"
    sides = [side for side in (0, 1) if extents[side] == numbers and _BIAS_KEYS[side] not in taken]
    named = [side for side in sides if (_LEFT, _RIGHT)[side].search(name.lower())]
    chosen = next(iter(named or sides), None)
    return None if chosen is None or tensor.ndim > 2 or numbers not in tensor.shape else _BIAS_KEYS[chosen]
