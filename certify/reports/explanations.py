"""Reason and error codes in plain words: what they mean, the theory behind them, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Explanation:
    """One code explained.

    Attributes:
        title: a few words.
        meaning: what was found.
        theory: theorem or formula behind it; may be empty.
        remedy: what to do.
    """

    title: str
    meaning: str
    theory: str
    remedy: str


EXPLANATIONS: dict[str, Explanation] = {
    "gap-closed": Explanation(
        "certified: the gap is within the tolerance",
        "A dual point was found whose value is within the tolerance of the objective. No network with the same kind "
        "of subnetworks, however wide, has a smaller objective than the bound.",
        "Weak duality with the polar Ω°(−A) ≤ λ (Haeffele and Vidal 2015, 2017; Bach 2013).",
        "Nothing. Ask for a smaller --relative-gap if you need a tighter statement.",
    ),
}
