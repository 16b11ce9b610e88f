"""Cone trees as certificates state them; the column of a free bias is told by its constant."""

from __future__ import annotations

import numpy as np

from certify.bounds.proof import ConeCover
from certify.bounds.stated_arrays import Array, array_of


def stated_cones(proof: ConeCover) -> dict[str, Array]:
    """The arrays."""
    tree, frame, rows = proof.tree, proof.frame, proof.rows
    found = {"splits": np.asarray(tree.splits, np.uint8), "tangents": np.asarray(tree.tangents, np.uint8)}
    if tree.free_axis is None:
        return {"frame": array_of(frame), "rows": array_of(rows)} | found
    free = {"center": array_of(proof.center[:-1]), "column": array_of(frame[-1:, -1])}
    return {"frame": array_of(frame[:-1, :-1]), "rows": array_of(rows[:, :-1])} | found | free
