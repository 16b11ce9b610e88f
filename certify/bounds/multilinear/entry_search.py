"""Witnesses of the polar of a factorization of entries of a matrix or tensor, by what its norms allow."""

from __future__ import annotations

from certify.bounds.multilinear.entry_vertices import vertex_search, vertices_apply
from certify.bounds.multilinear.sparse_spectral import sparse_search
from certify.bounds.multilinear.tensor_search import tensor_search
from certify.bounds.polar import PolarEstimate, PolarTask


def entry_search(task: PolarTask) -> PolarEstimate:
    """The best witnesses found."""
    if vertices_apply(task):
        return vertex_search(task)
    return sparse_search(task) if len(task.branch.sides) == 2 else tensor_search(task)
