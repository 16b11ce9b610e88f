"""skops files of scikit-learn's perceptrons as graphs."""

from __future__ import annotations

from typing import final

from certify.models.estimator import graph_of_perceptron
from certify.models.graph.layers import LayerGraph
from certify.models.readers.model_reader import ModelReader, OpenedModel
from certify.models.readers.skops_file import SCHEMA, read_skops


@final
class SkopsReader(ModelReader):
    """A fitted perceptron."""

    def sniff(self, opened: OpenedModel) -> bool:
        return SCHEMA in opened.members

    def read(self, opened: OpenedModel) -> LayerGraph:
        return graph_of_perceptron(read_skops(opened.archive), "skops", opened.file.path, opened.file.sha256)

    def shapes(self, opened: OpenedModel) -> LayerGraph:
        return self.read(opened)
