"""The polar at a dual point, and what a bound on it consists of.

Ω°(Q) = max { <Q, φ(w)> : θ(w) ≤ 1 } with Q = −A (Haeffele and Vidal 2017). A lower bound comes with the
subnetwork that attains it, an upper bound with a proof.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.problem import Factors, Objective

Progress = Callable[[float, float, str], None]


def silent(lower: float, upper: float, detail: str) -> None:
    """Progress listener that ignores everything."""


@final
@dataclass(frozen=True, slots=True)
class PolarTask:
    """A request to bound Ω°(−A).

    Attributes:
        objective: gives φ, inputs and λ.
        dual: A, (n, c), feasible but for the polar.
        target: upper bounds at or below this are all equally good (absolute, in units of the polar).
        deadline: `time.perf_counter()` value at which to stop.
        starts: subnetworks to start searches from (stacked factors), possibly of width 0.
        seed: of all randomness.
        failure_probability: largest allowed of a randomized proof; 0 for rigorous proofs only.
        on_progress: called with the interval in units of the polar and a few words.
    """

    objective: Objective
    dual: Tensor
    target: float
    deadline: float
    starts: Factors
    seed: int = 0
    failure_probability: float = 0.0
    on_progress: Progress = silent

    @property
    def seconds_left(self) -> float:
        """Time until the deadline; 0 when it has passed."""
        return max(0.0, self.deadline - time.perf_counter())


@final
@dataclass(frozen=True, slots=True)
class PolarBound:
    """A proven interval for Ω°(−A).

    Attributes:
        lower: value attained by the witness.
        witness: stacked factors with θ = 1, best first, or width 0.
        upper: proven; +inf if the method proves none; for `randomized`, an estimate that the checker is to test.
        method: name of the method that gave `upper`.
        proof: data from which `upper` can be recomputed; None for closed forms.
    """

    lower: float
    witness: Factors
    upper: float
    method: str
    proof: object | None = None
