"""`.pt2` files of `torch.export.save` as graphs."""

from __future__ import annotations

from typing import final

from certify.models.graph.graph_builder import Origin
from certify.models.graph.layers import LayerGraph
from certify.models.lowering.aten_lowering import graph_of_program
from certify.models.readers.model_reader import ModelReader, OpenedModel
from certify.models.readers.pt2_file import looks_like_pt2, read_pt2


@final
class Pt2Reader(ModelReader):
    """A program of ATen calls."""

    def sniff(self, opened: OpenedModel) -> bool:
        return looks_like_pt2(opened.members)

    def read(self, opened: OpenedModel) -> LayerGraph:
        return graph_of_program(read_pt2(opened.archive), Origin("pt2", opened.file.path, opened.file.sha256))

    def shapes(self, opened: OpenedModel) -> LayerGraph:
        return self.read(opened)
