"""The model formats that certify reads: how the content of each is told, and what is made of it."""

from __future__ import annotations

from certify.errors import RefusedError
from certify.models.estimator import graph_of_perceptron
from certify.models.graph.graph_builder import Origin
from certify.models.graph.layers import LayerGraph
from certify.models.lowering.aten_lowering import graph_of_program
from certify.models.lowering.module_layers import graph_of_chain, is_chain
from certify.models.lowering.onnx_lowering import graph_of_onnx
from certify.models.readers.factor_arrays import looks_like_npz, read_factor_arrays
from certify.models.readers.input_file import InputFile
from certify.models.readers.model_reader import ModelReader, OpenedModel
from certify.models.readers.onnx_files.onnx_file import looks_like_onnx, read_onnx
from certify.models.readers.pt2_file import looks_like_pt2, read_pt2
from certify.models.readers.safetensors_file import looks_like_safetensors, read_safetensors, safetensors_shapes
from certify.models.readers.skops_file import SCHEMA, read_skops
from certify.models.readers.torch_files.torch_file import (
    TorchContent,
    looks_like_torch_zip,
    read_torch_legacy,
    read_torch_zip,
)
from certify.models.readers.torch_files.torch_tensors import tensor_shapes
from certify.models.readers.weight_file import WeightFile, exact_weights, weight_shapes


def _safetensors(opened: OpenedModel) -> WeightFile:
    return exact_weights(read_safetensors(opened.file), "safetensors", opened.file)


def _safetensors_shapes(opened: OpenedModel) -> WeightFile:
    found = safetensors_shapes(opened.file.path)
    shapes = None if found is None else weight_shapes(found, "safetensors", opened.file)
    # Reading it all says what is wrong.
    return _safetensors(opened) if shapes is None else shapes


def _pt2(opened: OpenedModel) -> LayerGraph:
    return graph_of_program(read_pt2(opened.archive), Origin("pt2", opened.file.path, opened.file.sha256))


def _skops(opened: OpenedModel) -> LayerGraph:
    return graph_of_perceptron(read_skops(opened.archive), "skops", opened.file.path, opened.file.sha256)


def _onnx(opened: OpenedModel) -> LayerGraph:
    return graph_of_onnx(read_onnx(opened.file), Origin("onnx", opened.file.path, opened.file.sha256))


def _torch_zip(opened: OpenedModel) -> WeightFile | LayerGraph:
    return _weights_or_chain(read_torch_zip(opened.archive), opened.file)


def _torch_zip_shapes(opened: OpenedModel) -> WeightFile | LayerGraph:
    content = read_torch_zip(opened.archive, tensor_shapes)
    alone = content.module is None
    found = weight_shapes(content.tensors, content.format, opened.file, content.notes) if alone else None
    # A module is read with its values, and what holds no weights says so there.
    return _torch_zip(opened) if found is None else found


def _torch_legacy(opened: OpenedModel) -> WeightFile | LayerGraph:
    return _weights_or_chain(read_torch_legacy(opened.file), opened.file)


def _weights_or_chain(content: TorchContent, file: InputFile) -> WeightFile | LayerGraph:
    """Weights, or the graph of a whole module that is a chain."""
    if content.module is None:
        return exact_weights(content.tensors, content.format, file, content.notes)
    if not is_chain(content.module):
        kind = content.module.kind.rpartition(".")[2]
        raise RefusedError(
            f"{file.path}: holds a whole {kind}, whose forward is code; save weights and layers with "
            "torch.export.save(torch.export.export(model, (inputs,)), path)",
            code="unsafe-file",
        )
    origin = Origin(content.format, file.path, file.sha256, content.notes)
    return graph_of_chain(content.module, content.tensors, origin)


# In the order tried: the first that takes a file reads it. A new format joins by a line here.
MODEL_READERS = (
    ModelReader(lambda opened: looks_like_safetensors(opened.file), _safetensors, _safetensors_shapes),
    ModelReader(lambda opened: looks_like_pt2(opened.members), _pt2, _pt2),
    ModelReader(lambda opened: SCHEMA in opened.members, _skops, _skops),
    ModelReader(looks_like_npz, read_factor_arrays, read_factor_arrays),
    ModelReader(lambda opened: looks_like_torch_zip(opened.members), _torch_zip, _torch_zip_shapes),
    # A pickle, as of torch before its zip format.
    ModelReader(lambda opened: opened.file.head.startswith(b"\x80"), _torch_legacy, _torch_legacy),
    ModelReader(lambda opened: looks_like_onnx(opened.file), _onnx, _onnx),
)
