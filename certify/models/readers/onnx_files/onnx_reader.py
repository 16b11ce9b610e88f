"""ONNX files as graphs."""

from __future__ import annotations

from typing import final

from certify.models.graph.graph_builder import Origin
from certify.models.graph.layers import LayerGraph
from certify.models.lowering.onnx_lowering import graph_of_onnx
from certify.models.readers.model_reader import ModelReader, OpenedModel
from certify.models.readers.onnx_files.onnx_file import looks_like_onnx, read_onnx


@final
class OnnxReader(ModelReader):
    """A graph of ONNX operators."""

    def sniff(self, opened: OpenedModel) -> bool:
        return looks_like_onnx(opened.file)

    def read(self, opened: OpenedModel) -> LayerGraph:
        return graph_of_onnx(read_onnx(opened.file), Origin("onnx", opened.file.path, opened.file.sha256))

    def shapes(self, opened: OpenedModel) -> LayerGraph:
        return self.read(opened)
