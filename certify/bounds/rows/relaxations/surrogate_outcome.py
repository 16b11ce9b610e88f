"""What a convex surrogate returns: a dual point with a proven bound on its polar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.bounds.proof import QuadraticMajorant


@final
@dataclass(frozen=True, slots=True)
class SurrogateOutcome:
    """A feasible dual point A, its polar bounded from above.

    The optimum is at least `best_scale(objective, dual, λ / upper).value` if there is but one branch.

    Attributes:
        dual: A, (n, c), from `feasible_dual`.
        upper: U ≥ Ω°(−A), proven by `majorant_upper`; +inf if the multipliers prove nothing.
        multipliers: what `upper` is recomputed from.
    """

    dual: Tensor
    upper: float
    multipliers: QuadraticMajorant
