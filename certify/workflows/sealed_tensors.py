"""Tensors and a description in one file with its digest: safetensors, without code, written whole or not at all."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from pathlib import Path

import safetensors.numpy
from safetensors import safe_open
from torch import Tensor

from certify.problem import Factors, ParallelNetwork
from certify.whole_file import write_whole

# What reading raises of a file that is damaged or none of these.
UNREADABLE = (safetensors.SafetensorError, LookupError, TypeError, ValueError, OSError)
_KEY, _DIGEST = "certify", "sha256"


class DamagedError(ValueError):
    """The content of a file is not what was written."""


def write_sealed(path: str | Path, text: str, tensors: Mapping[str, Tensor]) -> None:
    """Write atomically.

    Raises:
        UsageError: the file cannot be written.
    """
    found = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Unlike torch's, numpy's writer takes arrays that share memory.
    arrays = {name: tensor.numpy() for name, tensor in found.items()}
    write_whole(path, safetensors.numpy.save(arrays, {_KEY: text, _DIGEST: _digest(text, found)}))


def read_sealed(path: str | Path) -> tuple[str, dict[str, Tensor]]:
    """The description and the tensors.

    Raises:
        DamagedError: they are not those that were written.
        UNREADABLE: any of these, if it is no such file.
    """
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    if metadata[_DIGEST] != _digest(metadata[_KEY], tensors):
        raise DamagedError("the content does not match its digest")
    return metadata[_KEY], tensors


def network_tensors(network: ParallelNetwork, prefix: str = "") -> dict[str, Tensor]:
    """The factors of every branch and the coefficients, by names that begin with the prefix."""
    factors = {_name(prefix, b, k): factor for b, stack in enumerate(network.stacks) for k, factor in enumerate(stack)}
    return factors | {f"{prefix}coefficients": network.coefficients}


def network_in(tensors: Mapping[str, Tensor], prefix: str = "") -> ParallelNetwork:
    """The network of that prefix."""
    stacks: list[Factors] = []
    while _name(prefix, len(stacks), 0) in tensors:
        names = (_name(prefix, len(stacks), k) for k in itertools.count())
        stacks.append(tuple(tensors[name] for name in itertools.takewhile(tensors.__contains__, names)))
    return ParallelNetwork(tuple(stacks), tensors[f"{prefix}coefficients"])


def _name(prefix: str, branch: int, factor: int) -> str:
    return f"{prefix}branch.{branch}.factor.{factor}"


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the description and of names, shapes and values of all tensors."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype}\n".encode())
        digest.update(tensors[name].numpy().data)
    return digest.hexdigest()
