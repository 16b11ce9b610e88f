"""Samples in groups, such as the ratings of every user: the columns of E that are indicators of the groups.

Where their coefficients are unpenalized, a dual point sums to zero over every group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from torch import Tensor

# Conjugate gradients stop where sums are this share of those of magnitudes, or after so many steps.
SUMS_ACCURACY = 1e-12
MOST_STEPS = 500
# Share of the largest that counts as nothing, where it would divide sums that no change of the samples can reach.
NOTHING = 1e-13


@final
@dataclass(frozen=True, slots=True)
class Groups:
    """One group for each sample.

    Attributes:
        index: of the group of every sample, (n,) int64.
        count: number of groups; some may be empty.
    """

    index: Tensor
    count: int

    def sums(self, values: Tensor) -> Tensor:
        """Sums over the groups, (count, …), of values (n, …)."""
        return values.new_zeros(self.count, *values.shape[1:]).index_add(0, self.index, values)


def without_sums(groups: Sequence[Groups], metric: Tensor, values: Tensor) -> Tensor:
    """A − M E δ with EᵀM E δ = EᵀA, E the indicators of all groups, for values A (n,) and weights M (n,) ≥ 0."""

    def spread(delta: Tensor) -> Tensor:
        parts = torch.split(delta, [group.count for group in groups])
        return metric * torch.stack([part[group.index] for group, part in zip(groups, parts, strict=True)]).sum(0)

    def gather(found: Tensor) -> Tensor:
        return torch.cat([group.sums(found) for group in groups])

    total, residual = gather(metric), gather(values)
    # Groups without room are left as they are.
    roomy = total > NOTHING * float(total.max())
    inverse = torch.where(roomy, 1 / torch.where(roomy, total, 1.0), 0.0)
    # Of sums that are rounding alone nothing is taken: with two partitions they need not be sums of anything.
    least = SUMS_ACCURACY**2 * float((gather(values.abs()) ** 2 * inverse).sum())
    delta, rest = torch.zeros_like(residual), float((residual**2 * inverse).sum())
    direction = residual * inverse
    for _ in range(MOST_STEPS):
        if not rest > least:
            break
        image = gather(spread(direction))
        bend = float(direction @ image)
        if not bend > NOTHING * float((direction**2 * total).sum()):
            break
        delta, residual = delta + rest / bend * direction, residual - rest / bend * image
        before, rest = rest, float((residual**2 * inverse).sum())
        direction = residual * inverse + rest / before * direction
    return values - spread(delta)


def with_zero_sums(groups: Sequence[Groups], grid: Tensor, metric: Tensor) -> Tensor:
    """Integers (n,) near those of `grid` that sum to zero over every group of one partition, or of two.

    What is left over goes where the metric (n,) has most room: with one partition, to one sample of each group; with
    two, along a spanning forest of the graph whose nodes are the groups and whose edges are the samples.
    """
    if len(groups) == 1:
        order = torch.argsort(metric, stable=True)
        receiver = torch.full((groups[0].count,), -1, device=grid.device).scatter(0, groups[0].index[order], order)
        there = receiver >= 0
        return grid.index_add(0, receiver[there], -groups[0].sums(grid)[there])
    values, (one, other) = grid.cpu().numpy().copy(), groups
    sums = np.concatenate([group.sums(grid).cpu().numpy() for group in groups])
    for node, parent, sample in _leaves_first(one, other, metric.cpu().numpy()):
        values[sample] -= sums[node]
        sums[parent] -= sums[node]
    return torch.from_numpy(values).to(grid.device)


def _leaves_first(one: Groups, other: Groups, room: npt.NDArray[np.float64]) -> Iterator[tuple[int, int, int]]:
    """Nodes of a spanning forest, each before its parent, with that and the sample between them.

    Nodes are the groups of one partition and then those of the other; trees take the samples with most room.
    """
    order = np.argsort(room, kind="stable")
    ends = one.index.cpu().numpy(), other.index.cpu().numpy() + one.count
    size = one.count + other.count
    between = dict(zip(zip(*(end[order].tolist() for end in ends), strict=True), order.tolist(), strict=True))
    pairs = np.array(list(between), dtype=np.int64).reshape(-1, 2)
    samples = np.fromiter(between.values(), dtype=np.int64, count=len(between))
    # Lighter edges are those with more room; none may weigh 0.
    weights = 2 - room[samples] / max(float(room.max()), float(np.finfo(np.float64).tiny))
    forest = minimum_spanning_tree(csr_matrix((weights, (pairs[:, 0], pairs[:, 1])), (size, size)))
    _, label = connected_components(forest, directed=False)
    for root in np.unique(label, return_index=True)[1]:
        nodes, parents = breadth_first_order(forest, root, directed=False)
        for node in nodes[:0:-1].tolist():
            parent = int(parents[node])
            yield node, parent, between[min(node, parent), max(node, parent)]
