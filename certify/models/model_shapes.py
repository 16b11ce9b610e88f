"""A model file without its values, where it is too large to read just to look at: names, shapes and types."""

from __future__ import annotations

from pathlib import Path

import safetensors
import torch
from torch import Tensor

from certify.models.graph.layers import LayerGraph
from certify.models.model_file import read_model_file
from certify.models.readers.archive import open_archive
from certify.models.readers.exact_weights import EXACT_TYPES
from certify.models.readers.formats import Format
from certify.models.readers.input_file import InputFile, open_input
from certify.models.readers.safetensors_file import looks_like_safetensors, natural_key
from certify.models.readers.torch_file import read_torch_zip
from certify.models.readers.torch_tensors import tensor_shapes
from certify.models.readers.weight_file import WeightFile, strip_wrappers

# Files up to this size, in bytes, are read whole, so that zeros and values that are not finite are seen.
SMALL = 32 * 2**20
NOTE = "the file is large: its names, shapes and types were read, its values were not"

_ZIP = b"PK\x03\x04"
_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def read_model_shapes(path: Path) -> WeightFile | LayerGraph:
    """What a model file holds; of a large file of weights, tensors on the meta device.

    Raises:
        UsageError: missing or unreadable.
        RefusedError: as for `read_model_file`, but for values that are not finite in a large file.
        UnsupportedError: as for `read_model_file`.
    """
    with open_input(path, "model file") as file:
        found = _shapes(file) if file.size > SMALL else None
        digest = file.sha256
    if found is None:
        # The full reader serves, or says what is wrong.
        return read_model_file(path)
    source, tensors, notes = found
    exact = {name: tensor.double() for name, tensor in tensors.items() if not name.endswith(".num_batches_tracked")}
    prefix, parameters = strip_wrappers(exact)
    return WeightFile(parameters, prefix, source, path, digest, (*notes, NOTE))


def _shapes(file: InputFile) -> tuple[Format, dict[str, Tensor], tuple[str, ...]] | None:
    """Format, tensors and notes; None where the full reader is needed."""
    if looks_like_safetensors(file):
        tensors = _of_safetensors(file.path)
        return None if tensors is None or not _are_weights(tensors) else ("safetensors", tensors, ())
    if not file.head.startswith(_ZIP):
        return None
    with open_archive(file) as archive:
        if not any(name.endswith("data.pkl") for name in archive.members):
            return None
        content = read_torch_zip(archive, tensor_shapes)
    if content.module is not None or not _are_weights(dict(content.tensors)):
        return None
    return content.format, dict(content.tensors), content.notes


def _are_weights(tensors: dict[str, Tensor]) -> bool:
    return all(t.dtype in EXACT_TYPES for name, t in tensors.items() if not name.endswith(".num_batches_tracked"))


def _of_safetensors(path: Path) -> dict[str, Tensor] | None:
    """From the header; None if it does not make sense."""
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            slices = {name: file.get_slice(name) for name in sorted(file.keys(), key=natural_key)}
            kinds = {name: _TYPES.get(part.get_dtype(), torch.uint8) for name, part in slices.items()}
            shapes = {name: part.get_shape() for name, part in slices.items()}
    except (safetensors.SafetensorError, ValueError, OSError):
        return None
    return {name: torch.empty(shape, dtype=kinds[name], device="meta") for name, shape in shapes.items()}
