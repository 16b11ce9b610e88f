"""Share a stage of a cone search: packs of its open cones go out, and the subtrees grown on them come back."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import final

from certify.bounds.labor import Crew
from certify.bounds.rows.cones.cone_front import PARENTS_PER_BATCH, Front
from certify.bounds.rows.cones.cone_incumbent import Incumbent
from certify.bounds.rows.cones.cone_packs import absorbed, packed
from certify.bounds.rows.cones.cone_settings import ConeSettings

# A pack is worked on for so long at most; what is still open then comes back with the rest.
PACK_SECONDS = 4.0
# Time that a result takes to come back before the deadline.
MARGIN_SECONDS = 0.5
# A stack with fewer cones for each of the crew is not worth sending.
LEAST_CONES = 64
# Longest wait for results, so that states are kept and limits are seen in between.
WAIT_SECONDS = 0.2
# Packs lost in a row after which the crew is left alone.
MOST_LOSSES = 20


@final
@dataclass(slots=True)
class Sharing:
    """A crew, the deadline of the search in `time.perf_counter()`, and how many packs in a row were lost."""

    crew: Crew
    settings: ConeSettings
    deadline: float
    losses: int = 0

    def serves(self, fronts: list[Front]) -> bool:
        """Whether there is enough to hand out, or nothing to do but to wait."""
        size, stacked = self.crew.size, sum(front.stacked for front in fronts)
        if size == 0 or self.losses > MOST_LOSSES:
            for front in fronts:
                front.recall()
            return False
        return stacked == 0 or stacked >= LEAST_CONES * size

    def exchange(self, fronts: list[Front], threshold: float, incumbent: Incumbent, room: int) -> Incumbent:
        """Hand out packs while the crew has room and take in what it has done; returns the best direction known."""
        left = self.deadline - time.perf_counter() - MARGIN_SECONDS
        settings = replace(self.settings, seconds=min(PACK_SECONDS, left))
        size = max(1, self.crew.size)
        most = min(PARENTS_PER_BATCH, max(LEAST_CONES, sum(front.stacked for front in fronts) // (2 * size)))
        while left > 0 and self.crew.room and (front := next((f for f in fronts if f.stack), None)) is not None:
            cones = front.pop(most)
            front.lend(self.crew.send(packed(front, cones, threshold, settings, incumbent, room // size)), cones)
        for pack, result in self.crew.wait(min(WAIT_SECONDS, max(0.0, self.deadline - time.perf_counter()))):
            for front in fronts:
                if pack in front.lent:
                    incumbent = max(incumbent, self._taken(front, pack, result, incumbent), key=lambda i: i.value)
        return incumbent

    def _taken(self, front: Front, pack: int, result: bytes | None, incumbent: Incumbent) -> Incumbent:
        """What came back of a pack; one that was lost is to be done again."""
        if result is None:
            self.losses += 1
            front.push(front.take_back(pack))
            return incumbent
        self.losses = 0
        return absorbed(front, pack, result)
