"""One side (sign of Q) of a cone search: its tree so far, and the leaves that may still be split."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from certify.bounds.rows.cones.cone_batch import Cones, bounded, joined, orthants
from certify.bounds.rows.cones.cone_bound import Majorant
from certify.bounds.rows.cones.cone_incumbent import Incumbent
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.cones.cone_split import Split, split
from certify.bounds.rows.cones.cone_tree import TreeLog
from certify.bounds.stated_arrays import Array

# Cones split at once; their children are bounded together.
PARENTS_PER_BATCH = 2048


@final
@dataclass(slots=True)
class Front:
    """The tree and the leaves of one side; batches change it in place.

    Attributes:
        majorant: Bounds its cones.
        scores: Q with the sign of this side, shape (n, c).
        log: The tree.
        waiting: Leaves at or below the threshold of the stage, which a later one may split; at least one piece.
        stack: Leaves above it, in pieces of at most a batch; the last is split first.
        closed_upper: Largest bound among all other leaves.
        held: Cones waiting, on the stack and lent.
        lent: Cones that somebody else splits, by the number of the pack.
    """

    majorant: Majorant
    scores: Tensor
    log: TreeLog
    waiting: list[Cones]
    stack: list[Cones]
    closed_upper: float
    held: int
    lent: dict[int, Cones] = field(default_factory=dict)

    @property
    def upper(self) -> float:
        """Largest leaf bound."""
        return max(self.closed_upper, self.open_upper)

    @property
    def open_upper(self) -> float:
        """Largest bound among the leaves that may still be split."""
        return max((_largest(cones.bounds) for cones in (*self.waiting, *self.stack, *self.lent.values())), default=0.0)

    @property
    def stacked(self) -> int:
        """Cones on the stack."""
        return sum(map(len, self.stack))

    def leaves(self) -> Cones:
        """All that may still be split."""
        return joined([*self.waiting, *self.stack, *self.lent.values()])

    def restack(self, threshold: float, goal: float) -> None:
        """Begin a stage: put the leaves above the threshold on the stack, and close those at the goal."""
        leaves = joined([*self.waiting, *self.stack])
        self.held -= len(leaves)
        self.waiting, self.stack = [leaves.where(leaves.bounds < 0)], []
        self._settle(leaves, threshold, goal)

    def pop(self, most: int) -> Cones:
        """Take cones from the top of a nonempty stack, in whole pieces unless the first is larger than `most`."""
        taken = [self.stack.pop()]
        if len(taken[0]) > most:
            self.stack.append(taken[0].between(0, len(taken[0]) - most))
            taken = [taken[0].between(len(taken[0]) - most, len(taken[0]))]
        count = len(taken[0])
        while self.stack and count + len(self.stack[-1]) <= most:
            taken.append(self.stack.pop())
            count += len(taken[-1])
        self.held -= count
        return joined(taken)

    def push(self, cones: Cones) -> None:
        """Put cones on the stack."""
        # As copies, so that a large batch is not kept for the sake of its last piece.
        whole, rest = divmod(len(cones), PARENTS_PER_BATCH)
        self.stack += cones.split([PARENTS_PER_BATCH] * whole + [rest] * (rest > 0))
        self.held += len(cones)

    def wait(self, cones: Cones) -> None:
        """Keep cones for a later stage."""
        if len(cones):
            self.waiting.append(cones)
            self.held += len(cones)

    def lend(self, pack: int, cones: Cones) -> None:
        """Note that somebody else splits cones that were taken from the stack."""
        self.lent[pack] = cones
        self.held += len(cones)

    def take_back(self, pack: int) -> Cones:
        """The cones of a pack, lent no more."""
        cones = self.lent.pop(pack)
        self.held -= len(cones)
        return cones

    def recall(self) -> None:
        """Put all cones that are lent on the stack again."""
        for pack in list(self.lent):
            self.push(self.take_back(pack))

    def absorb(self, pack: int, log: TreeLog, waiting: Cones, stacked: Cones, closed_upper: float) -> None:
        """Take in the subtrees that somebody else grew on the cones of a pack."""
        cones = self.take_back(pack)
        shift = self.log.absorb(log, _array(cones.ids))
        roots = torch.cat([cones.ids, cones.ids.new_zeros(1)])
        for leaves, keep in ((waiting, self.wait), (stacked, self.push)):
            own = roots[leaves.ids.clamp(max=len(cones))]
            keep(replace(leaves, ids=torch.where(leaves.ids < len(cones), own, leaves.ids + shift)))
        self.closed_upper = max(self.closed_upper, closed_upper)

    def split(self, batch: Cones, threshold: float, settings: ConeSettings, incumbent: Incumbent) -> Incumbent:
        """Split a batch that was taken from the stack; returns the best direction known then."""
        parted = split(self.majorant, batch)
        self.closed_upper = max(self.closed_upper, parted.stuck_upper)
        if len(parted.parents) == 0:
            return incumbent
        goal = settings.closing(self.majorant, incumbent.value)
        children = self._recorded(parted, bounded(self.majorant, parted.children, max(threshold, goal)))
        incumbent = incumbent.or_better(self.majorant, parted.midpoints, parted.sums).probed(self.majorant, children)
        self._settle(children, threshold, settings.closing(self.majorant, incumbent.value))
        return incumbent

    def _recorded(self, parted: Split, children: Cones) -> Cones:
        first = self.log.add_nodes(*recorded(children))
        children = replace(children, ids=first + torch.arange(len(children), device=children.ids.device))
        self.log.add_splits(_array(parted.parents.ids), _array(parted.edges), _array(children.ids[::2]))
        return children

    def _settle(self, leaves: Cones, threshold: float, goal: float) -> None:
        """Put leaves where their bounds say: on the stack, among those that wait, or away."""
        is_open, is_closed = leaves.bounds > max(threshold, goal), leaves.bounds <= goal
        self.closed_upper = max(self.closed_upper, _largest(leaves.bounds[is_closed]))
        self.wait(leaves.where(~is_open & ~is_closed))
        self.push(leaves.where(is_open))


def rooted(majorant: Majorant, scores: Tensor) -> Front:
    """The front of the orthants, bounded and recorded, all of them waiting."""
    roots, log = bounded(majorant, orthants(majorant), 0.0), TreeLog()
    log.add_nodes(*recorded(roots))
    return Front(majorant, scores, log, [roots], [], 0.0, len(roots))


def recorded(cones: Cones) -> tuple[Array, Array, Array]:
    """Bounds, depths and tangents (B, d) as the log keeps them."""
    return _array(cones.bounds), _array(cones.depths), _array(cones.tangents.T.to(torch.uint8))


def _array(values: Tensor) -> Array:
    """A numpy copy on the host."""
    return np.array(values.cpu().numpy())


def _largest(bounds: Tensor) -> float:
    """Largest of nonnegative bounds, 0 if there are none."""
    return float(bounds.max()) if bounds.numel() else 0.0
