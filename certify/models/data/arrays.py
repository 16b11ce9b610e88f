"""Arrays of a data set, checked and converted exactly to float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from certify.errors import RefusedError, UsageError
from certify.models.readers.array_file import exact_float64
from certify.models.readers.exact_weights import digest_of, require_finite

# What serves a matrix with a weight for each entry, such as confidences of implicit feedback.
WEIGHTED_ENTRIES = (
    "weights of entries are the sample_weights of a factorization: write model.layers as "
    "[{factorization: {left: U, right: V}}] with the names of your factors (U.T for one held with a column "
    "for each row of the matrix), and data with targets and sample_weights of one shape, without inputs and mask; "
    "where all unobserved entries have one weight, leave them out and give it as loss.unobserved_weight"
)


@final
@dataclass(frozen=True, slots=True)
class Arrays:
    """A data set.

    Attributes:
        inputs: (n, d) float64, or (n, …) as the layers before a head read them.
        targets: (n,) or (n, c) float64; entries outside the mask are finite but arbitrary.
        sample_weights: (n,) float64, or None.
        mask: (n, c) booleans, True where a target is observed, or None.
        sha256: hexadecimal digest of the file; of a `.npy` pair: of the digests' text, one per line, in the order
            inputs, targets, sample weights, mask.
        path: the file (of a pair: of the inputs), or None for data from memory.
    """

    inputs: Tensor
    targets: Tensor
    sample_weights: Tensor | None
    mask: Tensor | None
    sha256: str
    path: Path | None


def arrays_from(found: Mapping[str, object], sha256: str, path: Path | None) -> Arrays:
    """Check and convert arrays in memory.

    Args:
        found: NumPy arrays or tensors by role: `inputs`, `targets`, and perhaps `sample_weights` and `mask`.
        sha256: digest of where they came from; empty to digest the arrays themselves.
        path: the file they came from, if any.

    Raises:
        UsageError: shapes that do not fit together.
        RefusedError: non-finite values, or types other than real numbers.
    """
    where = str(path) if path else "data"
    tensors = {role: _float64(value, f"{where}: {role}") for role, value in found.items() if value is not None}
    inputs, targets, weights = tensors["inputs"], tensors["targets"], tensors.get("sample_weights")
    inputs = inputs[:, None] if inputs.ndim == 1 else inputs
    mask = _mask(tensors["mask"], targets, where) if "mask" in tensors else None
    targets = targets[:, None] if mask is not None and targets.ndim == 1 else targets
    # A target that the mask hides has weight 0; it needs a finite value that every loss accepts, 1.
    hidden = None if mask is None else ~mask & ~torch.isfinite(targets)
    targets = targets if hidden is None else torch.where(hidden, 1.0, targets)
    for role, tensor in (("inputs", inputs), ("targets", targets), ("sample_weights", weights)):
        if tensor is not None:
            require_finite(tensor, f"{where}: {role} hold")
    _require_shapes(inputs, targets, where)
    if weights is not None and weights.ndim > 1 and weights.shape == targets.shape:
        shown = f"{where}: sample_weights have shape {tuple(weights.shape)}, a weight for each entry"
        raise UsageError(f"{shown}; {WEIGHTED_ENTRIES}", code="shape-mismatch")
    return Arrays(inputs, targets, weights, mask, sha256 or digest_of(tensors), path)


def _float64(value: object, where: str) -> Tensor:
    if isinstance(value, Tensor):
        if value.layout != torch.strided or value.is_complex() or value.is_quantized or value.is_meta:
            raise RefusedError(f"{where}: needs dense real numbers, found {value.dtype}, {value.layout}", code="dtype")
        value = (value.double() if value.is_floating_point() else value).detach().cpu().numpy()
    return torch.from_numpy(exact_float64(np.asarray(value), where))


def _mask(mask: Tensor, targets: Tensor, where: str) -> Tensor:
    if not bool(((mask == 0) | (mask == 1)).all()):
        needed = f"{where}: mask must hold booleans (1 where a target is observed)"
        raise UsageError(f"{needed}; {WEIGHTED_ENTRIES}", code="mask")
    mask = mask[:, None] if mask.ndim == 1 else mask
    shape = targets.shape if targets.ndim != 1 else (*targets.shape, 1)
    if mask.shape != shape:
        raise UsageError(
            f"{where}: mask has shape {tuple(mask.shape)}, targets have {tuple(targets.shape)}", code="shape-mismatch"
        )
    return mask != 0


def _require_shapes(inputs: Tensor, targets: Tensor, where: str) -> None:
    if inputs.ndim < 2 or targets.ndim not in (1, 2):
        raise UsageError(
            f"{where}: inputs have shape {tuple(inputs.shape)} and targets {tuple(targets.shape)}; need (n, d), "
            "and (n,) or (n, c); flatten what has more axes",
            code="shape-mismatch",
        )
    if len(inputs) != len(targets):
        raise UsageError(f"{where}: {len(inputs)} inputs but {len(targets)} targets", code="shape-mismatch")
    if inputs.numel() == 0:
        raise UsageError(f"{where}: inputs of shape {tuple(inputs.shape)} hold no data", code="shape-mismatch")
