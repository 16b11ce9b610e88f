"""The polar of a branch at a dual point: what is asked of a bound, and what it returns.

Ω°(Q) = max { <Q, φ(w)> : θ(w) ≤ 1 } with Q = −A (Haeffele and Vidal 2017). What was found by searching
is an estimate, attained by its witness; what was proven from above is a bound.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from torch import Tensor

from certify.bounds.labor import ALONE, Labor
from certify.bounds.proof import Proof
from certify.problem import Branch, Factors, Objective, PolarForm
from certify.progress import Listener, silent

# What bounds and searches raise where numbers overflow or underflow, or a decomposition of such does not converge.
DIVERGED = (ArithmeticError, np.linalg.LinAlgError, torch.linalg.LinAlgError)  # type: ignore[attr-defined]


@final
@dataclass(frozen=True, slots=True)
class PolarTask:
    """A request to bound or to search Ω°(−A) of one branch.

    Attributes:
        objective: what is bounded in the end.
        index: of the branch.
        dual: A, (n, c), feasible but for the polar.
        target: upper bounds at or below this are all equally good (absolute, in units of the polar).
        deadline: `time.perf_counter()` value at which to stop.
        starts: subnetworks to start searches from (stacked factors), possibly of width 0.
        seed: of all randomness.
        failure_probability: largest allowed of a randomized proof; 0 for rigorous proofs only.
        listener: told of progress.
        network: the branch of the network at hand (stacked factors), empty if there is none.
        needed: a lower bound on the optimum at or above this decides.
        kept: what methods keep from task to task of one objective, by names of theirs: where to go on.
        labor: who helps with long searches, and keeps their states.
    """

    objective: Objective
    index: int
    dual: Tensor
    target: float
    deadline: float
    starts: Factors
    seed: int = 0
    failure_probability: float = 0.0
    listener: Listener = silent
    network: Factors = ()
    needed: float = math.inf
    kept: dict[str, object] = field(default_factory=dict, compare=False)
    labor: Labor = ALONE

    @property
    def branch(self) -> Branch:
        """The branch."""
        return self.objective.branches[self.index]

    @property
    def form(self) -> PolarForm:
        """The form of its polar."""
        return self.branch.form

    @property
    def scores(self) -> Tensor:
        """S of Q = −A, (n P, m)."""
        return self.branch.scores(self.dual)

    @property
    def nothing(self) -> Factors:
        """A witness of width zero."""
        return tuple(f[:0] for f in self.starts)

    @property
    def seconds_left(self) -> float:
        """Time until the deadline; 0 when it has passed."""
        return max(0.0, self.deadline - time.perf_counter())


@final
@dataclass(frozen=True, slots=True)
class PolarEstimate:
    """What a search found; the polar may be larger.

    Attributes:
        value: attained by the witness.
        witness: stacked factors with θ = 1, best first, or width 0.
    """

    value: float
    witness: Factors


@final
@dataclass(frozen=True, slots=True)
class PolarBound:
    """A proven interval for Ω°(−A).

    Attributes:
        lower: attained by the witness.
        witness: stacked factors with θ = 1, best first, or width 0.
        upper: proven; for a randomized proof, what the checker is to test; +inf where nothing was proven.
        method: name of the method that gave `upper`.
        proof: what `upper` is recomputed from.
    """

    lower: float
    witness: Factors
    upper: float
    method: str
    proof: Proof

    @property
    def estimate(self) -> PolarEstimate:
        """The lower end alone."""
        return PolarEstimate(self.lower, self.witness)


@final
@dataclass(frozen=True, slots=True)
class Cut:
    """A dual point A (n, c) with bounds on its polars, and the scales s at which it makes lines (see `lines`)."""

    dual: Tensor
    polars: tuple[PolarBound, ...]
    scales: tuple[float, ...]
