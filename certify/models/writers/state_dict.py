"""Write a network, of any width, back under the names of the model that it came from.

Values are written as float64: rounding them to float32 would change the objective that was certified.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from certify.errors import UsageError
from certify.models.decompose import Decomposition
from certify.models.layers import LayerGraph
from certify.problem import ParallelNetwork

# v of the subnetwork that carries a free constant which no output bias can hold: its penalty is about wd 2^-81 |c|².
CARRIER = 2.0**-40

_FORMATS = {".pt": "pt", ".pth": "pt", ".safetensors": "safetensors"}
# Suffixes of formats that are read and not written.
_READ_ONLY = (".pt2", ".onnx", ".ckpt", ".skops")


def ensure_writable(path: str | Path) -> None:
    """Check, before long work, that a file can be written.

    Raises:
        UsageError: the folder is missing or not writable, the path is a folder, or its suffix is of a format that is
            not written.
    """
    target = Path(path)
    if target.suffix.lower() in _READ_ONLY:
        raise UsageError(
            f"{target}: models are written as their weights alone; name a .pt or .safetensors file", code="unwritable"
        )
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
    frozen: Mapping[str, Tensor] | None = None,
) -> None:
    """Write `network` as the parameters of `graph`, atomically.

    Args:
        path: the suffix `.safetensors` decides the format, or that of the graph; otherwise a state dict of torch.
        graph: the model that the problem was loaded from.
        decomposition: its parallel form.
        network: what to write; its width may differ.
        frozen: parameters of the layers before a head, by name, written as they are.

    Raises:
        UsageError: the file cannot be written.
    """
    ensure_writable(path)
    # A link stays a link to the file that is replaced.
    target = Path(path).resolve()
    kept = {name: tensor.detach().cpu().clone() for name, tensor in (frozen or {}).items()}
    parameters = kept | network_parameters(graph, decomposition, network)
    named = {graph.prefix + name: tensor for name, tensor in parameters.items()}
    source = _FORMATS.get(target.suffix.lower(), graph.format)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
        with os.fdopen(handle, "wb") as stream:
            if source == "safetensors":
                stream.write(safetensors.torch.save(named))
            else:
                torch.save(named, stream)
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(target)
    except (OSError, ValueError, RuntimeError) as error:
        raise _unwritable(target, error) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def network_parameters(graph: LayerGraph, decomposition: Decomposition, network: ParallelNetwork) -> dict[str, Tensor]:
    """Parameters of `graph`'s layers, by name in its order, that compute what `network` computes."""
    form = decomposition.form
    weight, hidden_bias, outgoing = _units(decomposition, network)
    found: dict[str | None, Tensor | None] = {
        form.first.weight: weight,
        form.first.bias: hidden_bias,
        form.second.weight: outgoing.T,
    }
    output_bias = decomposition.rows(network, "output-bias")
    if output_bias is not None:
        found[form.second.bias] = output_bias[0]
    skip = decomposition.rows(network, "skip")
    if form.skip is not None and skip is not None:
        found[form.skip.weight] = skip.T
    # Hidden units that are not there have no parameters in the file.
    blank = (form.first.weight, form.second.weight) if form.family == "single-layer" else ()
    written = {name: found[name] for name in graph.parameters if name not in blank}
    return {
        name: t.detach().cpu().double().clone(memory_format=torch.contiguous_format)
        for name, t in written.items()
        if t is not None
    }


def _units(decomposition: Decomposition, network: ParallelNetwork) -> tuple[Tensor, Tensor | None, Tensor]:
    """First weight (r, d), hidden bias (r,) or None, and second factor (r, c)."""
    first, second = network.factors
    if decomposition.augmented:
        return first[:, :-1], first[:, -1], second
    if decomposition.policy.hidden == "absent":
        return first, None, second
    constant = decomposition.rows(network, "constant")
    bias = first.new_zeros(len(first))
    if constant is None or not bool(constant.any()):
        return first, bias, second
    # A unit without inputs, whose free bias makes the constant exactly: (1/ε)(ε c).
    first = torch.cat([first, first.new_zeros(1, first.shape[1])])
    bias = torch.cat([bias, bias.new_tensor([1 / CARRIER])])
    return first, bias, torch.cat([second, CARRIER * constant])


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unwritable(target: Path, error: Exception) -> UsageError:
    reason = getattr(error, "strerror", None) or str(error)
    return UsageError(f"{target}: cannot be written: {reason}", code="unwritable")
