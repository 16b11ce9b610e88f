"""A model file as a LayerGraph: the format is told by content, and nothing that the file holds is run."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from certify.errors import RefusedError, UsageError
from certify.models.factors.embeddings import as_factorization
from certify.models.graph.layers import LayerGraph
from certify.models.lowering.listed_layers import build_graph
from certify.models.readers.model_reader import ModelReader, OpenedModel, open_model
from certify.models.readers.registry import MODEL_READERS
from certify.models.readers.weight_file import WeightFile
from certify.models.spec.layer_list import Listed

# Files up to this size, in bytes, are read whole, so that zeros and values that are not finite are seen.
SMALL = 32 * 2**20


def read_model_file(path: Path, *, values: bool = True) -> WeightFile | LayerGraph:
    """Read a model file: a graph where the format holds one, else the weights.

    Args:
        path: the file.
        values: whether values are needed; a large file of weights is else read to tensors on the meta device.

    Raises:
        UsageError: missing or unreadable.
        RefusedError: no known format, corrupt, unsafe, non-finite or over a limit.
        UnsupportedError: what the layers of the file say cannot be said by a graph.
    """
    with open_model(path) as opened:
        reader = reader_of(opened)
        return reader.read(opened) if values or opened.file.size <= SMALL else reader.shapes(opened)


def reader_of(opened: OpenedModel) -> ModelReader:
    """The reader of the file's format.

    Raises:
        RefusedError: no known format.
    """
    found = next((reader for reader in MODEL_READERS if reader.sniff(opened)), None)
    if found is None:
        raise _unknown_format(opened)
    return found


def graph_of_file(path: Path, entries: Listed | None) -> LayerGraph:
    """The graph of a model file.

    Args:
        path: the file.
        entries: the `layers:` list, None where there is none.

    Raises:
        UsageError: as `read_model_file`; layers are needed, do not fit, or are given for a file that has its own.
        RefusedError: as `read_model_file`.
        UnsupportedError: as `read_model_file`.
    """
    return layered(read_model_file(path), entries)


def layered(found: WeightFile | LayerGraph, entries: Listed | None) -> LayerGraph:
    """What was found, with the layers given; errors as `graph_of_file`."""
    match found:
        case WeightFile():
            if not found.parameters:
                raise UsageError(f"{found.path or 'model'}: holds no weights", code="no-weights")
            return build_graph(found, entries)
        case LayerGraph():
            if entries is not None:
                raise UsageError(
                    f"{found.label}: model.layers is given, but the file holds its own layers; remove model.layers",
                    code="layers-given",
                )
            return as_factorization(found)
        case other:
            assert_never(other)


def _unknown_format(opened: OpenedModel) -> RefusedError:
    path = opened.file.path
    if opened.file.size == 0:
        return RefusedError(f"{path}: the model file is empty", code="corrupt-file")
    if opened.unpacked is not None:
        return RefusedError(f"{path}: a zip archive, but not one of torch's", code="corrupt-file")
    return RefusedError(
        f"{path}: no model format that certify knows, or truncated; save the weights with "
        "torch.save(model.state_dict(), path) or safetensors.torch.save_file, or weights and layers with "
        "torch.export.save",
        code="corrupt-file",
    )
