"""Safetensors files as weights."""

from __future__ import annotations

from typing import final

from certify.models.readers.model_reader import ModelReader, OpenedModel
from certify.models.readers.safetensors_file import looks_like_safetensors, read_safetensors, safetensors_shapes
from certify.models.readers.weight_file import WeightFile, exact_weights, weight_shapes


@final
class SafetensorsReader(ModelReader):
    """Tensors by name."""

    def sniff(self, opened: OpenedModel) -> bool:
        return looks_like_safetensors(opened.file)

    def read(self, opened: OpenedModel) -> WeightFile:
        return exact_weights(read_safetensors(opened.file), "safetensors", opened.file)

    def shapes(self, opened: OpenedModel) -> WeightFile:
        found = safetensors_shapes(opened.file.path)
        shapes = None if found is None else weight_shapes(found, "safetensors", opened.file)
        # Reading it all says what is wrong.
        return self.read(opened) if shapes is None else shapes
