"""Proof trees of cone searches against an independent checker, which rejects what is missing or was undone."""

import dataclasses

import numpy as np
import pytest

from certify.bounds.rows.cones.cone_tree import ConeTree

from .cone_checker import check_tree
from .cone_searches import search
from .exact_polars import draw


@pytest.mark.parametrize(("d", "c"), [(2, 1), (3, 1), (4, 1), (3, 2)])
@pytest.mark.parametrize("kind", ["plain", "duplicates", "grid", "one sign", "zero rows"])
def test_tree_passes_an_independent_checker(d, c, kind):
    X, Q, _ = draw((10, d, c), 15, d, c, kind)
    found = search(X, Q, relative_tolerance=0.03)
    recomputed = check_tree(X, Q, found.tree)
    assert recomputed <= found.tree.upper * (1 + 1e-12)
    assert found.upper == found.tree.upper


def test_checker_rejects_a_tree_with_a_missing_branch():
    X, Q, _ = draw((11,), 15, 3, 1, "plain")
    tree = search(X, Q).tree
    leaf = int(np.flatnonzero(tree.splits == 0)[0])
    without_leaf = dataclasses.replace(tree, splits=np.delete(tree.splits, leaf), tangents=tree.tangents[1:])
    with pytest.raises(ValueError, match="ends early"):
        check_tree(X, Q, without_leaf)
    with pytest.raises(ValueError, match="sign"):
        check_tree(X, Q, dataclasses.replace(tree, signs=(1,)))
    with pytest.raises(ValueError, match="left over"):
        check_tree(X, Q, dataclasses.replace(tree, splits=np.append(tree.splits, np.uint8(0))))


def test_checker_rejects_a_tree_whose_split_was_undone():
    """Making a leaf of a node that needed its split leaves a bound above the claim."""
    X, Q, _ = draw((12,), 15, 3, 1, "plain")
    tree = search(X, Q).tree
    inner = next(k for k in range(len(tree.splits) - 2) if tree.splits[k] > 0 and not tree.splits[k + 1 : k + 3].any())
    leaves_before = int((tree.splits[:inner] == 0).sum())
    merged = ConeTree(
        tree.dimension,
        tree.signs,
        np.delete(tree.splits, [inner + 1, inner + 2]),
        np.delete(tree.tangents, leaves_before, axis=0),
        None,
        tree.upper,
    )
    merged.splits[inner] = 0
    assert check_tree(X, Q, merged) > tree.upper * (1 + 1e-6)
