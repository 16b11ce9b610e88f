"""Branch and bound over cones in stages of decreasing thresholds, depth first within a stage."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from certify.bounds.rows.cones.cone_batch import Cones, bounded, bytes_per_cone, joined, orthants
from certify.bounds.rows.cones.cone_bound import Majorant, interpolation_sums, penalized, values_at
from certify.bounds.rows.cones.cone_split import Split, split
from certify.bounds.rows.cones.cone_tree import TreeLog
from certify.bounds.stated_arrays import Array
from certify.problem import Slopes

# Cones split at once; their children are bounded together.
PARENTS_PER_BATCH = 2048
# Each stage divides the excess of the upper bound over the goal by this.
STAGE_RATIO = 4.0
# Cones of largest bound per batch whose maximizer is tried as a lower bound.
PROBED_MAXIMIZERS = 8
# Relative room left below the goal, so that a checker's own rounding never exceeds it.
PRUNE_SLACK = 4e-9
# Upper estimate of the record kept of each node, in bytes.
BYTES_PER_LOGGED_NODE = 64
# Cones are closed at this many times d times the rounding allowance, whatever the goal.
NOISE_MULTIPLE = 4.0
# With a free axis, directions closer to it than this angle are not tried as lower bounds.
SMALLEST_NORM = 1e-12
# Slopes of max(t, 0).
RELU = Slopes(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Incumbent:
    """Best direction found: value |Q^T s(X u)| / |u| (not rounded down) and u of shape (d,)."""

    value: float
    direction: Tensor


@dataclass(frozen=True, slots=True)
class Stage:
    """How far one stage got: every cone brought to `threshold` after `nodes` cones."""

    threshold: float
    nodes: int


@dataclass(frozen=True, slots=True)
class ConeSettings:
    """What to prove and when to stop.

    Attributes:
        target: Value of P of interest (the polar threshold); 0 closes the gap itself.
        relative_tolerance: Done when upper <= max(target, lower) (1 + relative_tolerance); positive.
        seconds: Wall-clock limit.
        max_nodes: Most cones to bound.
        memory_bytes: Most memory for open cones and the proof.
        free_axis: Coordinate of u outside the norm. Its column of X must be constant and every column of Q must
            sum to zero exactly.
        slopes: Of s.
    """

    target: float = 0.0
    relative_tolerance: float = 0.01
    seconds: float = 60.0
    max_nodes: int = 20_000_000
    memory_bytes: int = 2 << 30
    free_axis: int | None = None
    slopes: Slopes = RELU

    def goal(self, lower: float) -> float:
        """Return the upper bound that is asked for, given a lower one."""
        return max(lower, self.target) * (1 + self.relative_tolerance)


@dataclass(frozen=True, slots=True)
class Frontier:
    """Leaves of one side: those a later stage may split, and the largest bound among all others."""

    waiting: Cones
    closed_upper: float

    @property
    def upper(self) -> float:
        """Largest leaf bound."""
        return max(self.closed_upper, self.waiting_upper)

    @property
    def waiting_upper(self) -> float:
        """Largest bound among the leaves that may still be split."""
        return float(self.waiting.bounds.max()) if len(self.waiting) else 0.0


# Told of lower end, upper end and cones bounded.
Report = Callable[[float, float, int], None]


@final
class ConeSearch:
    """Search state: one tree per side (sign of Q), the incumbent, and the stages finished."""

    def __init__(
        self, majorants: list[Majorant], settings: ConeSettings, began: float, incumbent: Incumbent, report: Report
    ) -> None:
        self._majorants = majorants
        self._settings = settings
        self._deadline = began + settings.seconds
        self._report = report
        self.incumbent = incumbent
        self.logs = [TreeLog() for _ in majorants]
        self.stages: list[Stage] = []
        self.frontiers = [self._rooted(side) for side in range(len(majorants))]
        self.stages.append(Stage(max(frontier.waiting_upper for frontier in self.frontiers), self.nodes))

    @property
    def nodes(self) -> int:
        """Cones bounded so far."""
        return sum(log.size for log in self.logs)

    @property
    def goal(self) -> float:
        """Bound at which a cone is closed for good; never below what rounding alone adds to a bound."""
        noise = NOISE_MULTIPLE * max(majorant.error * majorant.rows.shape[1] for majorant in self._majorants)
        return max(noise, self._settings.goal(self.incumbent.value) * (1 - PRUNE_SLACK))

    def run(self) -> None:
        """Lower the threshold stage by stage until the goal, a limit, or no cone can be split."""
        while True:
            upper, goal = max(frontier.waiting_upper for frontier in self.frontiers), self.goal
            threshold = goal + (upper - goal) / STAGE_RATIO
            if threshold - goal <= 0.5 * self._settings.relative_tolerance * goal:
                threshold = goal
            before, finished = self.nodes, True
            for side in range(len(self.frontiers)):
                finished = self._refine(side, threshold) and finished
            self._report(self.incumbent.value, max(frontier.upper for frontier in self.frontiers), self.nodes)
            if not finished or self.nodes == before:
                return
            self.stages.append(Stage(threshold, self.nodes))

    def _rooted(self, side: int) -> Frontier:
        """Bound and record the orthants of one side."""
        majorant = self._majorants[side]
        roots = bounded(majorant, orthants(majorant), 0.0)
        self._probe(majorant, roots)
        self.logs[side].add_nodes(*_recorded(roots))
        return Frontier(roots, 0.0)

    def _refine(self, side: int, threshold: float) -> bool:
        """Split the cones of one side until all are at the threshold; return whether no limit stopped it."""
        frontier = self.frontiers[side]
        closed, waiting = frontier.closed_upper, [frontier.waiting.where(frontier.waiting.bounds <= threshold)]
        stack: list[Cones] = []
        _push(stack, frontier.waiting.where(frontier.waiting.bounds > threshold))
        held = len(frontier.waiting)
        while stack and not self._stopped(held):
            batch = _popped(stack)
            parted = split(self._majorants[side], batch)
            closed, held = max(closed, parted.stuck_upper), held - len(batch)
            if len(parted.parents) == 0:
                continue
            children = self._grown(side, parted, threshold)
            goal = self.goal
            is_open, is_closed = children.bounds > max(threshold, goal), children.bounds <= goal
            closed = max(closed, _largest(children.bounds[is_closed]))
            _push(stack, children.where(is_open))
            waiting.append(children.where(~is_open & ~is_closed))
            held += len(children) - int(is_closed.sum())
        self.frontiers[side] = Frontier(joined(waiting + stack), closed)
        return not stack

    def _grown(self, side: int, parted: Split, threshold: float) -> Cones:
        """Bound and record the children of a split, and try their generators and maximizers."""
        majorant, log = self._majorants[side], self.logs[side]
        children = bounded(majorant, parted.children, max(threshold, self.goal))
        first = log.add_nodes(*_recorded(children))
        children = replace(children, ids=first + torch.arange(len(children), device=children.ids.device))
        log.add_splits(_array(parted.parents.ids), _array(parted.edges), _array(children.ids[::2]))
        self._offer(majorant, parted.midpoints, parted.sums)
        self._probe(majorant, children)
        return children

    def _probe(self, majorant: Majorant, cones: Cones) -> None:
        """Try the maximizers of the cones of largest bound."""
        if len(cones) == 0:
            return
        top = cones.take(cones.bounds.topk(min(PROBED_MAXIMIZERS, len(cones))).indices)
        points = top.maximizers()
        points = points / points.abs().amax(0).clamp(min=1e-300)
        self._offer(majorant, points, interpolation_sums(majorant, points))

    def _offer(self, majorant: Majorant, points: Tensor, sums: Tensor) -> None:
        """Keep the best of directions (d, B) with interpolation sums (2c, B) if it beats the incumbent."""
        if points.shape[1] == 0:
            return
        norms = penalized(points, majorant.free_axis).norm(dim=0)
        usable = norms > SMALLEST_NORM * points.norm(dim=0)
        values = torch.where(usable, values_at(sums) / norms.clamp(min=1e-300), 0.0)
        best = values.argmax()
        value = float(values[best])
        if value > self.incumbent.value:
            self.incumbent = Incumbent(value, points[:, best] / norms[best])

    def _stopped(self, held: int) -> bool:
        """Whether a limit is met with `held` cones kept."""
        majorant, settings = self._majorants[0], self._settings
        c, d = majorant.weights.shape[0] // 2, majorant.rows.shape[1]
        memory = 2 * held * bytes_per_cone(d, c) + self.nodes * BYTES_PER_LOGGED_NODE
        full = self.nodes >= settings.max_nodes or memory > settings.memory_bytes
        return full or time.perf_counter() >= self._deadline


def _push(stack: list[Cones], cones: Cones) -> None:
    """Put cones on the stack in pieces of at most one batch."""
    for first in range(0, len(cones), PARENTS_PER_BATCH):
        stack.append(cones.between(first, first + PARENTS_PER_BATCH))


def _popped(stack: list[Cones]) -> Cones:
    """Take pieces from the top of a nonempty stack until they make a batch."""
    taken = [stack.pop()]
    while stack and sum(len(cones) for cones in taken) + len(stack[-1]) <= PARENTS_PER_BATCH:
        taken.append(stack.pop())
    return joined(taken)


def _recorded(cones: Cones) -> tuple[Array, Array, Array]:
    """Bounds, depths and tangents (B, d) as the log keeps them."""
    return _array(cones.bounds), _array(cones.depths), _array(cones.tangents.T.to(torch.uint8))


def _array(values: Tensor) -> Array:
    """A numpy copy on the host."""
    return np.array(values.cpu().numpy())


def _largest(bounds: Tensor) -> float:
    """Largest of nonnegative bounds, 0 if there are none."""
    return float(bounds.max()) if bounds.numel() else 0.0
