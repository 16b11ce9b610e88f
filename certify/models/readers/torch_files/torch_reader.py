"""Torch files, before and since their zip format: weights, or the graph of a whole module that is a chain."""

from __future__ import annotations

from typing import final

from certify.errors import RefusedError
from certify.models.graph.graph_builder import Origin
from certify.models.graph.layers import LayerGraph
from certify.models.lowering.module_layers import graph_of_chain, is_chain
from certify.models.readers.input_file import InputFile
from certify.models.readers.model_reader import ModelReader, OpenedModel
from certify.models.readers.torch_files.torch_file import (
    TorchContent,
    looks_like_pickle,
    looks_like_torch_zip,
    read_torch_legacy,
    read_torch_zip,
)
from certify.models.readers.torch_files.torch_tensors import tensor_shapes
from certify.models.readers.weight_file import WeightFile, exact_weights, weight_shapes


@final
class TorchZipReader(ModelReader):
    """What `torch.save` writes."""

    def sniff(self, opened: OpenedModel) -> bool:
        return looks_like_torch_zip(opened.members)

    def read(self, opened: OpenedModel) -> WeightFile | LayerGraph:
        return _read(read_torch_zip(opened.archive), opened.file)

    def shapes(self, opened: OpenedModel) -> WeightFile | LayerGraph:
        content = read_torch_zip(opened.archive, tensor_shapes)
        alone = content.module is None
        found = weight_shapes(content.tensors, content.format, opened.file, content.notes) if alone else None
        # A module is read with its values, and what holds no weights says so there.
        return self.read(opened) if found is None else found


@final
class TorchLegacyReader(ModelReader):
    """What `torch.save` wrote before its zip format."""

    def sniff(self, opened: OpenedModel) -> bool:
        return looks_like_pickle(opened.file)

    def read(self, opened: OpenedModel) -> WeightFile | LayerGraph:
        return _read(read_torch_legacy(opened.file), opened.file)

    def shapes(self, opened: OpenedModel) -> WeightFile | LayerGraph:
        return self.read(opened)


def _read(content: TorchContent, file: InputFile) -> WeightFile | LayerGraph:
    if content.module is None:
        return exact_weights(content.tensors, content.format, file, content.notes)
    if not is_chain(content.module):
        kind = content.module.kind.rpartition(".")[2]
        raise RefusedError(
            f"{file.path}: holds a whole {kind}, whose forward is code; save weights and layers with "
            "torch.export.save(torch.export.export(model, (inputs,)), path)",
            code="unsafe-file",
        )
    return graph_of_chain(
        content.module, content.tensors, Origin(content.format, file.path, file.sha256, content.notes)
    )
