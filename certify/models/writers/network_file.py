"""Write a network, of any width, back under the names of the model that it came from, and in its format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from torch import Tensor

from certify.models.factors.factor_model import FactorModel
from certify.models.graph.layers import LayerGraph
from certify.models.theory.decompose import Decomposition
from certify.models.writers.exported_program import program_bytes
from certify.models.writers.network_parameters import network_parameters
from certify.models.writers.onnx_graph import onnx_bytes
from certify.models.writers.output_format import OutputFormat, output_format
from certify.models.writers.skops_archive import skops_bytes
from certify.models.writers.state_dict import checkpoint_bytes, npz_bytes, safetensors_bytes, state_dict_bytes
from certify.problem import ParallelNetwork
from certify.whole_file import ensure_writable, write_whole


def write_network(
    path: str | Path,
    graph: LayerGraph,
    decomposition: Decomposition | FactorModel,
    network: ParallelNetwork,
    shape: Sequence[int],
    frozen: Mapping[str, Tensor] | None = None,
) -> None:
    """Write `network` as the layers and parameters of `graph`, atomically.

    Args:
        path: its suffix decides the format where it names one; otherwise that of the graph.
        graph: the model that the problem was loaded from.
        decomposition: its parallel form.
        network: what to write; its width may differ.
        shape: of one sample, as the layers read it.
        frozen: parameters of the layers before a head, by name, written as they are; None where there are none.

    Raises:
        UsageError: the file cannot be written, or not in this format.
        RefusedError: the estimator to write into is not that which was read.
    """
    ensure_writable(path)
    chosen = output_format(path, graph, headed=frozen is not None)
    kept = {name: tensor.detach().cpu().clone() for name, tensor in (frozen or {}).items()}
    parameters = kept | network_parameters(graph, decomposition, network)
    written = replace(graph, parameters=parameters)
    write_whole(path, _content(chosen, written, shape))


def _content(chosen: OutputFormat, graph: LayerGraph, shape: Sequence[int]) -> bytes:
    named = {graph.prefix + name: tensor for name, tensor in graph.parameters.items()}
    match chosen:
        case "pt":
            return state_dict_bytes(named)
        case "safetensors":
            return safetensors_bytes(named)
        case "ckpt":
            return checkpoint_bytes(named)
        case "npz":
            return npz_bytes(named)
        case "onnx":
            return onnx_bytes(graph, shape)
        case "pt2":
            return program_bytes(graph, shape)
        case "skops":
            return skops_bytes(graph)
        case other:
            assert_never(other)
