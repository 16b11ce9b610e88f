"""Weights by name from a file: the format is told by content, and every tensor ends as finite float64."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import torch
from torch import Tensor

from certify.errors import RefusedError, UnsupportedError, UsageError
from certify.models.input_file import InputFile, open_input, require_bytes
from certify.models.readers.safetensors_file import looks_like_safetensors, read_safetensors
from certify.models.readers.state_dict_pt import looks_like_torch, read_state_dict

Format = Literal["pt", "safetensors", "live"]

# Every float of these types is a float64, so that conversion is exact.
EXACT_TYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
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


def read_weights(path: Path) -> WeightFile:
    """Read a `.pt` state dict or a `.safetensors` file; runs nothing that the file holds.

    Raises:
        UsageError: missing or unreadable.
        RefusedError: not one of these formats, corrupt, unsafe, non-finite or over a limit.
    """
    with open_input(path, "model file") as file:
        source, found = _read(file)
        digest = file.sha256
    exact, notes = exact_parameters(found, str(path))
    prefix, parameters = strip_wrappers(exact)
    return WeightFile(parameters, prefix, source, path, digest, notes)


def exact_parameters(found: Mapping[str, Tensor], where: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors as float64, and notes on what was converted.

    Raises:
        RefusedError: a tensor that is not dense, real, floating point and finite.
        UnsupportedError: two names share one tensor.
    """
    for name, tensor in found.items():
        _require_plain(name, tensor, where)
    require_bytes(sum(8 * tensor.numel() for tensor in found.values()), where)
    _require_untied(found, where)
    exact = {name: tensor.detach().to("cpu", torch.float64, copy=True).contiguous() for name, tensor in found.items()}
    for name, tensor in exact.items():
        _require_finite(name, tensor, where)
    narrow = sorted({str(t.dtype).removeprefix("torch.") for t in found.values() if t.dtype != torch.float64})
    note = f"weights stored as {', '.join(narrow)}, converted exactly to float64"
    return exact, (note,) if narrow else ()


def strip_wrappers(parameters: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """The prefix that wrappers put before all names, and the parameters without it."""
    prefix, names = "", list(parameters)
    while names and (wrapper := next((w for w in WRAPPERS if all(n.startswith(w) for n in names)), None)):
        prefix += wrapper
        names = [name.removeprefix(wrapper) for name in names]
    return prefix, dict(zip(names, parameters.values(), strict=True))


def _read(file: InputFile) -> tuple[Format, dict[str, Tensor]]:
    if looks_like_safetensors(file):
        return "safetensors", read_safetensors(file)
    if looks_like_torch(file):
        return "pt", read_state_dict(file)
    if file.size == 0:
        raise RefusedError(f"{file.path}: the model file is empty", code="corrupt-file")
    raise RefusedError(
        f"{file.path}: neither a torch file nor safetensors, or truncated; save the weights with "
        "torch.save(model.state_dict(), path) or safetensors.torch.save_file",
        code="corrupt-file",
    )


def _require_plain(name: str, tensor: Tensor, where: str) -> None:
    sort = _unfit(tensor)
    if sort is not None:
        raise RefusedError(
            f"{where}: parameter '{name}' is {sort}; weights must be dense float16, bfloat16, float32 or float64",
            code="weight-type",
        )


def _unfit(tensor: Tensor) -> str | None:
    if torch.nn.parameter.is_lazy(tensor):
        return "not initialized (a lazy layer that has not run)"
    if tensor.layout != torch.strided or tensor.is_nested:
        return "sparse or nested"
    if tensor.is_quantized:
        return "quantized"
    if tensor.is_meta:
        return "a meta tensor without values"
    if tensor.dtype not in EXACT_TYPES:
        return str(tensor.dtype).removeprefix("torch.")
    return None


def _require_untied(found: Mapping[str, Tensor], where: str) -> None:
    places = defaultdict(list)
    for name, tensor in found.items():
        if tensor.numel():
            places[tensor.data_ptr()].append(name)
    for names in places.values():
        if len(names) > 1:
            raise UnsupportedError(
                f"{where}: parameters '{names[0]}' and '{names[1]}' share one tensor; tied weights are another "
                "problem (weight decay counts them once). If they are not tied, save clones",
                code="tied-weights",
            )


def _require_finite(name: str, tensor: Tensor, where: str) -> None:
    wrong = ~torch.isfinite(tensor)
    if bool(wrong.any()):
        first = tuple(wrong.nonzero()[0].tolist())
        raise RefusedError(
            f"{where}: parameter '{name}' has {int(wrong.sum())} non-finite of {math.prod(tensor.shape)} values, "
            f"the first at index {first}",
            code="non-finite",
        )


def require_parameters(weights: WeightFile) -> None:
    """Refuse a file without weights.

    Raises:
        UsageError: the file holds none.
    """
    if not weights.parameters:
        raise UsageError(f"{weights.path or 'model'}: holds no weights", code="no-weights")
