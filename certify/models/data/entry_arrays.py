"""Entries of a matrix or tensor as data: places, values and weights, whichever way a file holds them.

In coordinates (`rows`, `cols`, `values`, `shape`, perhaps `weights`), as places with values (`inputs` (N, K) and
`targets` (N,)), or as all targets, a full matrix or tensor in which NaN marks what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from certify.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from certify.models.readers.array_file import Array
    from certify.models.spec.problem_sections import DataSpec

# Names under which tables of ratings hold users, items and ratings.
TRIPLETS = (
    ("user", "item", "rating"),
    ("row", "col", "value"),
    ("user_id", "item_id", "rating"),
    ("userId", "movieId", "rating"),
)


def coordinate_entries(
    found: Mapping[str, Array], shape: Sequence[int], where: str, weights: str | None
) -> dict[str, Any]:
    """Inputs, targets and sample weights by role, of a matrix in coordinates.

    Raises:
        UsageError: lengths or a shape that do not fit.
        RefusedError: indices that are not integers.
    """
    rows, cols, values, extents = (found[key] for key in ("rows", "cols", "values", "shape"))
    for name, array in (("rows", rows), ("cols", cols), ("shape", extents)):
        if array.dtype.kind not in "iu":
            raise RefusedError(f"{where}: '{name}' must hold integers, found dtype {array.dtype}", code="dtype")
    if not rows.shape == cols.shape == values.shape == (rows.size,):
        raise UsageError(f"{where}: needs 'rows', 'cols', 'values' of one length", code="shape-mismatch")
    if tuple(extents.tolist()) != tuple(shape):
        raise UsageError(
            f"{where}: a matrix of shape {tuple(extents.tolist())}, but the factors are of one of {tuple(shape)}",
            code="shape-mismatch",
        )
    return _roles(np.stack([rows, cols], 1), values, None if weights is None else found[weights])


def named_entries(
    spec: DataSpec, shape: Sequence[int], where: str, read: Callable[[Sequence[str]], list[Array]]
) -> dict[str, Any]:
    """The same of named arrays: places and values, or a full array of targets.

    Raises:
        UsageError: names that are not there, or shapes that do not fit.
    """
    for role in ("inputs", "targets"):
        if isinstance(getattr(spec, role), tuple):
            raise UsageError(
                f"{where}: data.{role}: a list of columns is for .csv and .parquet; name one array", code="usage"
            )
    names = [name for name in (spec.inputs, spec.targets or "y", spec.sample_weights, spec.mask) if name is not None]
    arrays = dict(zip(names, read(names), strict=True))
    values = arrays[spec.targets or "y"]
    weights = None if spec.sample_weights is None else arrays[spec.sample_weights]
    if spec.inputs is not None:
        if spec.mask is not None:
            raise UsageError(f"{where}: data.mask is for a full matrix; leave unobserved entries out", code="mask")
        return _roles(arrays[spec.inputs], values.reshape(-1), weights)
    if values.shape != tuple(shape):
        raise UsageError(
            f"{where}: '{spec.targets or 'y'}' has shape {values.shape}, but the factors make one of {tuple(shape)}; "
            "entries with places of their own need data.inputs",
            code="shape-mismatch",
        )
    seen = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
    if spec.mask is not None:
        mask = arrays[spec.mask]
        if mask.shape != values.shape or not bool(np.isin(mask, (0, 1)).all()):
            raise UsageError(
                f"{where}: '{spec.mask}' must hold booleans, one for each value (1 where it is observed); numbers that "
                "weigh entries are data.sample_weights",
                code="mask",
            )
        seen &= mask == 1
    if weights is not None and weights.shape != values.shape:
        raise UsageError(f"{where}: weights of shape {weights.shape}, values of {values.shape}", code="shape-mismatch")
    places = np.argwhere(seen)
    return _roles(places, values[seen], None if weights is None else weights[seen])


def _roles(places: Array, values: Array, weights: Array | None) -> dict[str, Any]:
    return {"inputs": places, "targets": values, "sample_weights": weights}
