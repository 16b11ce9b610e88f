"""From the scores of the last hidden layer down to seminorms of the responses σ(H u) of the first.

K layers W_1, …, W_K with σ between them: the scores S of W_K's inputs are peeled K − 2 times, with the maps between the
layers, and the polar is at most the largest over |u| ≤ 1 of the seminorms of σ(H u). One score column is peeled for S
and for −S apart, so that there are two seminorms; several columns are peeled for both signs at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.bounds.layers.kink import Kink
from certify.bounds.layers.links import Convolution, FixedMap
from certify.bounds.layers.max_pooling import MaxPooling
from certify.bounds.layers.peeled_scores import PeeledScores, unpeeled
from certify.bounds.layers.peeling import Majorized, Peel, peeled, peeled_sign
from certify.problem import Slopes

# The multipliers of all layers, the last hidden layer first.
Peels = tuple[Peel, ...]
# The multipliers of a layer, for what measures its responses.
Choice = Callable[[PeeledScores, Majorized], Peel]


@final
@dataclass(frozen=True, slots=True)
class Chain:
    """What lies between the first responses and the scores.

    Attributes:
        slopes: of σ of the first layer.
        steps: from the scores down, one of responses for each hidden layer but the first; dense layers have no step.
    """

    slopes: Slopes
    steps: tuple[Kink | MaxPooling | Convolution | FixedMap, ...]

    def signs(self, scores: Tensor) -> tuple[int | None, ...]:
        """Which signs of the scores (N, m) have a chain of peels of their own; None where one serves both."""
        apart = scores.shape[1] == 1 and bool(self.steps) and isinstance(self.steps[0], Kink | MaxPooling)
        return (0, 1) if apart else (None,)

    def seminorms(self, scores: Tensor, peels: tuple[Peels, ...]) -> list[PeeledScores]:
        """The seminorms of the first responses for scores (N, m), one for each of `signs`."""
        found = []
        for sign, own in zip(self.signs(scores), peels, strict=True):
            given = iter(own)

            def choice(above: PeeledScores, responses: Majorized, given: Iterator[Peel] = given) -> Peel:
                return next(given)

            found.append(self.seminorm(scores, sign, choice))
        return found

    def seminorm(self, scores: Tensor, sign: int | None, choice: Choice) -> PeeledScores:
        """The seminorm for one of `signs`, with multipliers as they are chosen on the way."""
        form = unpeeled(scores)
        for level, step in enumerate(self.steps):
            if isinstance(step, Convolution | FixedMap):
                form = step.below(form)
            elif level == 0 and sign is not None:
                form = peeled_sign(scores, choice(form, step), step, sign)
            else:
                form = peeled(form, choice(form, step), step)
        return form
