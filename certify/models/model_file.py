"""A model file as a LayerGraph: the format is told by content, and nothing that the file holds is run."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from certify.errors import RefusedError, UsageError
from certify.models.estimator import graph_of_perceptron
from certify.models.graph.graph_builder import Origin
from certify.models.graph.layers import LayerGraph
from certify.models.graph.parameter_shapes import require_parameter_shapes
from certify.models.lowering.aten_lowering import graph_of_program
from certify.models.lowering.listed_layers import build_graph
from certify.models.lowering.module_layers import chain_layers, is_chain
from certify.models.lowering.onnx_lowering import graph_of_onnx
from certify.models.readers.archive import Archive, open_archive
from certify.models.readers.exact_weights import exact_parameters
from certify.models.readers.input_file import InputFile, open_input
from certify.models.readers.onnx_file import looks_like_onnx, read_onnx
from certify.models.readers.pt2_file import looks_like_pt2, read_pt2
from certify.models.readers.safetensors_file import looks_like_safetensors, read_safetensors
from certify.models.readers.skops_file import SCHEMA, read_skops
from certify.models.readers.torch_file import TorchContent, looks_like_pickle, read_torch_legacy, read_torch_zip
from certify.models.readers.weight_file import WeightFile, strip_wrappers
from certify.models.spec.layer_list import LayerEntry

_ZIP = b"PK\x03\x04"


def read_model_file(path: Path) -> WeightFile | LayerGraph:
    """Read a model file: a graph where the format holds one, else the weights.

    Raises:
        UsageError: missing or unreadable.
        RefusedError: no known format, corrupt, unsafe, non-finite or over a limit.
        UnsupportedError: what the layers of the file say cannot be said by a graph.
    """
    with open_input(path, "model file") as file:
        if looks_like_safetensors(file):
            return _weights(file, TorchContent(read_safetensors(file), None, "safetensors", ()))
        if file.head.startswith(_ZIP):
            with open_archive(file) as archive:
                return _of_archive(file, archive)
        if looks_like_pickle(file):
            return _of_torch(file, read_torch_legacy(file))
        if looks_like_onnx(file):
            return graph_of_onnx(read_onnx(file), Origin("onnx", path, file.sha256))
        if file.size == 0:
            raise RefusedError(f"{path}: the model file is empty", code="corrupt-file")
        raise RefusedError(
            f"{path}: no model format that certify knows, or truncated; save the weights with "
            "torch.save(model.state_dict(), path) or safetensors.torch.save_file, or weights and layers with "
            "torch.export.save",
            code="corrupt-file",
        )


def graph_of_file(path: Path, entries: tuple[LayerEntry, ...] | None) -> LayerGraph:
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


def layered(found: WeightFile | LayerGraph, entries: tuple[LayerEntry, ...] | None) -> LayerGraph:
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
            return found
        case other:
            assert_never(other)


def _of_archive(file: InputFile, archive: Archive) -> WeightFile | LayerGraph:
    names = archive.members
    if looks_like_pt2(archive):
        return graph_of_program(read_pt2(archive), Origin("pt2", file.path, file.sha256))
    if SCHEMA in names:
        return graph_of_perceptron(read_skops(archive), "skops", file.path, file.sha256)
    if any(name.endswith(".npy") for name in names):
        raise RefusedError(f"{file.path}: a NumPy archive, not a model", code="not-a-state-dict")
    return _of_torch(file, read_torch_zip(archive))


def _of_torch(file: InputFile, content: TorchContent) -> WeightFile | LayerGraph:
    if content.module is None:
        return _weights(file, content)
    where = str(file.path)
    if not is_chain(content.module):
        kind = content.module.kind.rpartition(".")[2]
        raise RefusedError(
            f"{where}: holds a whole {kind}, whose forward is code; save weights and layers with "
            "torch.export.save(torch.export.export(model, (inputs,)), path)",
            code="unsafe-file",
        )
    layers = chain_layers(content.module, where)
    used = {name: content.tensors[name] for layer in layers for name in layer.parameters.values()}
    parameters, conversions = exact_parameters(used, where)
    require_parameter_shapes(layers, parameters, where)
    notes = (*content.notes, *conversions)
    return LayerGraph(layers, parameters, "", content.format, file.path, file.sha256, notes)


def _weights(file: InputFile, content: TorchContent) -> WeightFile:
    # Batch norm counts its batches in an integer that nothing reads.
    tensors = {name: t for name, t in content.tensors.items() if not name.endswith(".num_batches_tracked")}
    exact, conversions = exact_parameters(tensors, str(file.path))
    prefix, parameters = strip_wrappers(exact)
    return WeightFile(parameters, prefix, content.format, file.path, file.sha256, (*content.notes, *conversions))
