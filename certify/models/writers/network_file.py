"""Write a network, of any width, back under the names of the model that it came from, and in its format."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from torch import Tensor

from certify.errors import UsageError
from certify.models.graph.layers import LayerGraph
from certify.models.theory.decompose import Decomposition
from certify.models.writers.exported_program import program_bytes
from certify.models.writers.network_parameters import network_parameters
from certify.models.writers.onnx_graph import onnx_bytes
from certify.models.writers.output_format import OutputFormat, output_format
from certify.models.writers.skops_archive import skops_bytes
from certify.models.writers.state_dict import checkpoint_bytes, safetensors_bytes, state_dict_bytes
from certify.problem import ParallelNetwork
from certify.whole_file import write_whole


def ensure_writable(path: str | Path) -> None:
    """Check, before long work, that a file can be written.

    Raises:
        UsageError: the folder is missing or not writable, or the path is a folder.
    """
    target = Path(path)
    try:
        mode = target.stat().st_mode if target.exists() else stat.S_IFREG
        with tempfile.NamedTemporaryFile(dir=target.resolve().parent):
            pass
    except (OSError, ValueError, RuntimeError) as error:
        raise _unwritable(target, error) from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise UsageError(f"{target}: is {kind}; name a file to write", code="unwritable")


def write_network(
    path: str | Path,
    graph: LayerGraph,
    decomposition: Decomposition,
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
    try:
        write_whole(path, _content(chosen, written, shape))
    except (OSError, ValueError, RuntimeError) as error:
        raise _unwritable(Path(path), error) from error


def _content(chosen: OutputFormat, graph: LayerGraph, shape: Sequence[int]) -> bytes:
    named = {graph.prefix + name: tensor for name, tensor in graph.parameters.items()}
    match chosen:
        case "pt":
            return state_dict_bytes(named)
        case "safetensors":
            return safetensors_bytes(named)
        case "ckpt":
            return checkpoint_bytes(named)
        case "onnx":
            return onnx_bytes(graph, shape)
        case "pt2":
            return program_bytes(graph, shape)
        case "skops":
            return skops_bytes(graph)
        case other:
            assert_never(other)


def _unwritable(target: Path, error: Exception) -> UsageError:
    reason = getattr(error, "strerror", None) or str(error)
    return UsageError(f"{target}: cannot be written: {reason}", code="unwritable")
