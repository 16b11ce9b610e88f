"""Branch and bound over cones in stages of decreasing thresholds, depth first within a stage."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from certify.bounds.rows.cones.cone_batch import bytes_per_cone
from certify.bounds.rows.cones.cone_front import PARENTS_PER_BATCH, Front
from certify.bounds.rows.cones.cone_incumbent import Incumbent
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.cones.cone_sharing import Sharing
from certify.bounds.rows.cones.cone_tree import TreeLog

# Each stage divides the excess of the upper bound over the goal by this.
STAGE_RATIO = 4.0
# Cones that a stage bounds here before it is shared: most end with fewer.
SOLO_NODES = 20_000
# Open cones count twice: while a stage begins they are sorted into new arrays.
COPIES = 2
# Memory is short when this share of it is left.
SHORT_SHARE = 0.25
# Batches that would fit into the memory left.
BATCHES_IN_ROOM = 64


@dataclass(frozen=True, slots=True)
class Stage:
    """How far one stage got: every cone brought to `threshold` after `nodes` cones."""

    threshold: float
    nodes: int


# Told of lower end, upper end and cones bounded.
Report = Callable[[float, float, int], None]


@final
class ConeSearch:
    """Search state: one front per side (sign of Q), the incumbent, the stages finished, the threshold of this one."""

    def __init__(
        self,
        fronts: list[Front],
        settings: ConeSettings,
        began: float,
        incumbent: Incumbent,
        stages: tuple[Stage, ...] = (),
        threshold: float = 0.0,
    ) -> None:
        self.fronts, self.incumbent, self.threshold = fronts, incumbent, threshold
        self._settings = settings
        self.deadline = began + settings.seconds
        self.stages = list(stages)
        if not stages:
            for front in fronts:
                self.incumbent = self.incumbent.probed(front.majorant, front.leaves())
            self.stages.append(Stage(max(front.open_upper for front in fronts), self.nodes))

    @property
    def nodes(self) -> int:
        """Cones bounded so far."""
        return sum(front.log.size for front in self.fronts)

    @property
    def goal(self) -> float:
        """Bound at which a cone is closed for good."""
        return self._settings.closing(self.fronts[0].majorant, self.incumbent.value)

    @property
    def upper(self) -> float:
        """Largest leaf bound."""
        return max(front.upper for front in self.fronts)

    def run(self, report: Report, between: Callable[[], None], sharing: Sharing | None = None) -> None:
        """Lower the threshold stage by stage until the goal, a limit, or no cone can be split.

        Args:
            report: Told after every stage.
            between: Called between batches, when the fronts are whole.
            sharing: With whom long stages are shared.
        """
        while True:
            before = self.nodes
            if not self._unfinished:
                self._begin_stage()
            while self._unfinished and not self._stopped():
                self._work(before, sharing)
                between()
            for front in self.fronts:
                front.recall()
            report(self.incumbent.value, self.upper, self.nodes)
            if self._unfinished or self.nodes == before:
                return

    @property
    def _unfinished(self) -> bool:
        return any(front.stack or front.lent for front in self.fronts)

    def _begin_stage(self) -> None:
        if self.nodes > self.stages[-1].nodes:
            self.stages.append(Stage(self.threshold, self.nodes))
        upper, goal = max(front.open_upper for front in self.fronts), self.goal
        self.threshold = goal + (upper - goal) / STAGE_RATIO
        if self.threshold - goal <= 0.5 * self._settings.relative_tolerance * goal:
            self.threshold = goal
        self._restack()

    def _restack(self) -> None:
        for front in self.fronts:
            front.restack(self.threshold, self.goal)

    def _work(self, before: int, sharing: Sharing | None) -> None:
        """Split one batch, or hand out packs of cones and take in what comes back."""
        if self._room < SHORT_SHARE * self._cones_in_memory and self.threshold > self.goal:
            # To the goal at once, depth first: then none wait for a later stage.
            self.threshold = self.goal
            self._restack()
        room = max(1, int(self._room))
        if sharing is not None and self.nodes - before > SOLO_NODES and sharing.serves(self.fronts):
            self.incumbent = sharing.exchange(self.fronts, self.threshold, self.incumbent, room)
            return
        # A batch leaves at most as many cones more; a part of the room at a time, it is never used up.
        batch = min(PARENTS_PER_BATCH, max(1, room // BATCHES_IN_ROOM))
        front = next(front for front in self.fronts if front.stack)
        self.incumbent = front.split(front.pop(batch), self.threshold, self._settings, self.incumbent)

    @property
    def _cones_in_memory(self) -> float:
        """Open cones for which there would be memory if there were no log."""
        majorant = self.fronts[0].majorant
        c, d = majorant.weights.shape[0] // 2, majorant.rows.shape[1]
        return self._settings.memory_bytes / (COPIES * bytes_per_cone(d, c))

    @property
    def _room(self) -> float:
        """Further open cones for which there is memory; negative if there are too many."""
        logged = self.nodes * TreeLog.bytes_per_node(self.fronts[0].majorant.rows.shape[1])
        free = self._cones_in_memory * (1 - logged / self._settings.memory_bytes)
        return free - sum(front.held for front in self.fronts)

    def _stopped(self) -> bool:
        """Whether a limit is met."""
        full = self.nodes >= self._settings.max_nodes or self._room < 0
        return full or time.perf_counter() >= self.deadline
