"""A matrix to complete, given by its observed entries: `rows`, `cols`, `values` and `shape`.

Factorizing the m × c matrix U Vᵀ on its observed entries is a linear network on the m unit vectors: inputs
I (m, m), targets (m, c), and a mask of what is observed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from certify.errors import RefusedError, UsageError
from certify.models.readers.array_file import Array, exact_float64
from certify.models.readers.input_file import require_bytes

KEYS = ("rows", "cols", "values", "shape")


def completion_arrays(found: Mapping[str, Array], where: str) -> dict[str, Array]:
    """Inputs, targets and mask by role.

    Args:
        found: the arrays of `KEYS`; entries are (k,), shape is (2,).
        where: the file, for messages.

    Raises:
        UsageError: lengths that differ, indices outside the shape, or an entry given twice.
        RefusedError: indices that are not integers, values that float64 cannot hold, or a matrix over the limit.
    """
    rows, cols, values, shape = (found[key] for key in KEYS)
    for name, array in (("rows", rows), ("cols", cols), ("shape", shape)):
        if array.dtype.kind not in "iu":
            raise RefusedError(f"{where}: '{name}' must hold integers, found dtype {array.dtype}", code="dtype")
    if shape.shape != (2,) or shape.min() < 0 or not rows.shape == cols.shape == values.shape == (rows.size,):
        raise UsageError(f"{where}: needs 'shape' (2,), and 'rows', 'cols', 'values' of one length", "shape-mismatch")
    height, width = int(shape[0]), int(shape[1])
    require_bytes(8 * max(height, 0) * (max(height, 0) + 2 * max(width, 0)), where)
    _require_inside(rows, height, f"{where}: 'rows'")
    _require_inside(cols, width, f"{where}: 'cols'")
    mask = np.zeros((height, width), dtype=bool)
    mask[rows, cols] = True
    if int(mask.sum()) != rows.size:
        raise UsageError(f"{where}: {rows.size - int(mask.sum())} entries are given more than once", code="duplicate")
    targets = np.full((height, width), np.nan)
    targets[rows, cols] = exact_float64(values, f"{where}: 'values'")
    return {"inputs": np.eye(height), "targets": targets, "mask": mask}


def _require_inside(indices: Array, extent: int, where: str) -> None:
    if not bool(((indices >= 0) & (indices < extent)).all()):
        found = f"{indices.min()} to {indices.max()}"
        raise UsageError(f"{where} must lie between 0 and {extent - 1}, found {found}", code="target-range")
