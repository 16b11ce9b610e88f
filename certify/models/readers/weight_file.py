"""Weights by name, as files of weights without layers hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from torch import Tensor

from certify.models.readers.formats import Format

# What wrappers (DataParallel, torch.compile, Lightning) put before every name.
WRAPPERS = ("module.", "_orig_mod.", "model.")


@final
@dataclass(frozen=True, slots=True)
class WeightFile:
    """Weights as they were found.

    Attributes:
        parameters: float64 tensors by name, without the prefix, in the order of the file.
        prefix: what wrappers had put before every name.
        format: which reader served.
        path: the file; None for a live module.
        sha256: hexadecimal digest of the file.
        notes: what the reader did that a user may want to know.
    """

    parameters: Mapping[str, Tensor]
    prefix: str
    format: Format
    path: Path | None
    sha256: str
    notes: tuple[str, ...]


def strip_wrappers(parameters: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """The prefix that wrappers put before all names, and the parameters without it."""
    prefix, names = "", list(parameters)
    while names and (wrapper := next((w for w in WRAPPERS if all(n.startswith(w) for n in names)), None)):
        prefix += wrapper
        names = [name.removeprefix(wrapper) for name in names]
    return prefix, dict(zip(names, parameters.values(), strict=True))
