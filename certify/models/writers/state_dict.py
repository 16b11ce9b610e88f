"""Weights alone, by name: state dicts of torch, Lightning's checkpoints, safetensors and archives of NumPy."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

# Lightning brings checkpoints up to date by the version in them; those of this one hold the same keys as today's.
_LIGHTNING = {"epoch": 0, "global_step": 0, "pytorch-lightning_version": "2.0.0"}


def state_dict_bytes(weights: Mapping[str, Tensor]) -> bytes:
    """A `.pt` file, as `torch.save(model.state_dict(), path)` writes it."""
    stream = io.BytesIO()
    torch.save(dict(weights), stream)
    return stream.getvalue()


def checkpoint_bytes(weights: Mapping[str, Tensor]) -> bytes:
    """A `.ckpt` file: the weights under `state_dict`, without callbacks, optimizers and hyper-parameters."""
    stream = io.BytesIO()
    torch.save({**_LIGHTNING, "state_dict": dict(weights)}, stream)
    return stream.getvalue()


def safetensors_bytes(weights: Mapping[str, Tensor]) -> bytes:
    """A `.safetensors` file."""
    return safetensors.torch.save(dict(weights))


def npz_bytes(weights: Mapping[str, Tensor]) -> bytes:
    """A `.npz` file, as `numpy.savez(path, **weights)` writes it."""
    stream = io.BytesIO()
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in weights.items()}
    np.savez(stream, **arrays)
    return stream.getvalue()
