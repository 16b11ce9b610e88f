"""A model file without its values, where it is too large to read just to look at: names, shapes and types."""

from __future__ import annotations

from pathlib import Path

from certify.models.graph.layers import LayerGraph
from certify.models.model_file import reader_of
from certify.models.readers.model_reader import open_model
from certify.models.readers.weight_file import WeightFile

# Files up to this size, in bytes, are read whole, so that zeros and values that are not finite are seen.
SMALL = 32 * 2**20


def read_model_shapes(path: Path) -> WeightFile | LayerGraph:
    """What a model file holds; of a large file of weights, tensors on the meta device.

    Raises:
        UsageError: missing or unreadable.
        RefusedError: as for `read_model_file`, but for values that are not finite in a large file.
        UnsupportedError: as for `read_model_file`.
    """
    with open_model(path) as opened:
        reader = reader_of(opened)
        return reader.shapes(opened) if opened.file.size > SMALL else reader.read(opened)
