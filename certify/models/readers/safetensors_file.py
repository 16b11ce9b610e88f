"""Safetensors files: tensors by name, no code by design."""

from __future__ import annotations

import re
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from certify.models.readers.damage import DamageAsRefusal
from certify.models.readers.exact_weights import require_plain_names
from certify.models.readers.input_file import InputFile
from certify.models.readers.torch_files.torch_tensors import MAX_DIMENSIONS

_DAMAGE = (safetensors.SafetensorError, ValueError, TypeError, LookupError, RuntimeError, OverflowError)
_NUMBERS = re.compile(r"(\d+)")
# Types of weights; any other is none.
_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def looks_like_safetensors(file: InputFile) -> bool:
    """Whether the content opens with a header length and a JSON object."""
    return file.head[8:9] == b"{" and not file.head.startswith((b"PK", b"\x80\x02"))


def read_safetensors(file: InputFile) -> dict[str, Tensor]:
    """Tensors by name, sorted by name with numbers in numeric order, since the format keeps no order.

    Raises:
        RefusedError: truncated, corrupt, or a type that torch does not hold.
    """
    with DamageAsRefusal(str(file.path), "safetensors", _DAMAGE):
        found: dict[str, Tensor] = safetensors.torch.load(file.stream.read())
        if any(tensor.ndim > MAX_DIMENSIONS for tensor in found.values()):
            raise ValueError(f"a tensor with over {MAX_DIMENSIONS} axes")
    require_plain_names(found, str(file.path))
    return {name: found[name] for name in sorted(found, key=natural_key)}


def safetensors_shapes(path: Path) -> dict[str, Tensor] | None:
    """The tensors on the meta device, from the header alone; None if it does not make sense."""
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            slices = {name: file.get_slice(name) for name in sorted(file.keys(), key=natural_key)}
            kinds = {name: _TYPES.get(part.get_dtype(), torch.uint8) for name, part in slices.items()}
            shapes = {name: part.get_shape() for name, part in slices.items()}
    except (safetensors.SafetensorError, ValueError, OSError):
        return None
    return {name: torch.empty(shape, dtype=kinds[name], device="meta") for name, shape in shapes.items()}


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorting key under which `10.weight` follows `2.weight`."""
    parts = [part for part in _NUMBERS.split(name) if part]
    return tuple((0, int(part), "") if part.isdecimal() and len(part) < 19 else (1, 0, part) for part in parts)
