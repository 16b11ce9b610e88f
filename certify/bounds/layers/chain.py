"""From the scores of the last hidden layer down to seminorms of the responses σ(H u) of the first.

K layers W_1, …, W_K with σ between them: the scores S of W_K's inputs are peeled K − 2 times, each followed by the map
of the layer below, and the polar is at most the largest over |u| ≤ 1 of the seminorms of σ(H u). One score column is
peeled for S and for −S apart, so that there are two seminorms; several columns are peeled for both signs at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.bounds.layers.links import Link
from certify.bounds.layers.peeled_scores import PeeledScores, unpeeled
from certify.bounds.layers.peeling import Peel, peeled, peeled_sign
from certify.problem import Slopes

# The multipliers of all layers, the last hidden layer first.
Peels = tuple[Peel, ...]


@final
@dataclass(frozen=True, slots=True)
class Chain:
    """What lies between the first responses and the scores.

    Attributes:
        slopes: of σ.
        links: the maps W_(K−1), …, W_2, what is fixed with them included; the last hidden layer first.
    """

    slopes: Slopes
    links: tuple[Link, ...]

    def signs(self, scores: Tensor) -> tuple[int | None, ...]:
        """Which signs of the scores (N, m) have a chain of peels of their own; None where one serves both."""
        return (0, 1) if scores.shape[1] == 1 and self.links else (None,)

    def seminorms(self, scores: Tensor, peels: tuple[Peels, ...]) -> list[PeeledScores]:
        """The seminorms of the first responses for scores (N, m), one for each of `signs`."""
        pairs = zip(self.signs(scores), peels, strict=True)
        return [self._seminorm(scores, own, sign) for sign, own in pairs]

    def _seminorm(self, scores: Tensor, peels: Peels, sign: int | None) -> PeeledScores:
        form = unpeeled(scores)
        for level, (peel, link) in enumerate(zip(peels, self.links, strict=True)):
            form = link.below(self.peeled_at(level, form, peel, sign))
        return form

    def peeled_at(self, level: int, above: PeeledScores, peel: Peel, sign: int | None) -> PeeledScores:
        """One peel; at the top, of one sign alone if there is one."""
        if level == 0 and sign is not None:
            return peeled_sign(above.columns, peel, self.slopes, sign)
        return peeled(above, peel, self.slopes)
