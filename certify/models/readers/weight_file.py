"""Weights by name, as files of weights without layers hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from torch import Tensor

from certify.models.readers.exact_weights import EXACT_TYPES, exact_parameters
from certify.models.readers.formats import Format
from certify.models.readers.input_file import InputFile

# What wrappers (DataParallel, torch.compile, Lightning) put before every name.
WRAPPERS = ("module.", "_orig_mod.", "model.")
# What a reader says that read no values.
SHAPES_NOTE = "the file is large: its names, shapes and types were read, its values were not"

# Batch norm counts its batches in an integer that nothing reads.
COUNTER = "num_batches_tracked"


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


def exact_weights(
    found: Mapping[str, Tensor], source: Format, file: InputFile, notes: tuple[str, ...] = ()
) -> WeightFile:
    """The tensors of a file as weights.

    Raises:
        RefusedError: a tensor that is not dense, real, floating point and finite.
        UnsupportedError: two names share one tensor.
    """
    exact, conversions = exact_parameters(_without_counters(found), str(file.path))
    prefix, parameters = strip_wrappers(exact)
    return WeightFile(parameters, prefix, source, file.path, file.sha256, (*notes, *conversions))


def weight_shapes(
    found: Mapping[str, Tensor], source: Format, file: InputFile, notes: tuple[str, ...] = ()
) -> WeightFile | None:
    """The same of tensors on the meta device; None where one of them is no weight."""
    weights = _without_counters(found)
    if any(tensor.dtype not in EXACT_TYPES for tensor in weights.values()):
        return None
    prefix, parameters = strip_wrappers({name: tensor.double() for name, tensor in weights.items()})
    return WeightFile(parameters, prefix, source, file.path, file.sha256, (*notes, SHAPES_NOTE))


def strip_wrappers(parameters: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """The prefix that wrappers put before all names, and the parameters without it."""
    prefix, names = "", list(parameters)
    while names and (wrapper := next((w for w in WRAPPERS if all(n.startswith(w) for n in names)), None)):
        prefix += wrapper
        names = [name.removeprefix(wrapper) for name in names]
    return prefix, dict(zip(names, parameters.values(), strict=True))


def _without_counters(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in found.items() if not name.endswith(f".{COUNTER}")}
