"""What growth did, as plain values: one row a round and the summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.certificates.gap import relative_gap


@final
@dataclass(frozen=True, slots=True)
class GrowthRound:
    """Where growth stood at the end of a round.

    Attributes:
        round: 0 for the start.
        width: number of subnetworks.
        objective: of the best network so far.
        lower_bound: largest proven so far.
        violation: lower end of the polar at the round's dual point, in units of λ, minus 1; None without one.
        seconds: since the start.
    """

    round: int
    width: int
    objective: float
    lower_bound: float
    violation: float | None
    seconds: float

    @property
    def gap(self) -> float:
        """Absolute gap."""
        return self.objective - self.lower_bound

    @property
    def relative_gap(self) -> float:
        """Gap over |objective|."""
        return relative_gap(self.gap, self.objective)


@final
@dataclass(frozen=True, slots=True)
class GrowthReport:
    """A whole growth: the given network before it, the one handed back after it, and all rounds, from 0.

    Attributes:
        width_grown: before pruning.
        width_bound: with this many subnetworks or more, a path along which the objective never rises leads from any
            network to a global minimum (Haeffele and Vidal 2017, Theorem 2).
    """

    width_before: int
    width_grown: int
    width_after: int
    width_bound: int
    objective_before: float
    objective_after: float
    rounds: tuple[GrowthRound, ...]
