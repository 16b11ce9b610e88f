"""From the scores of the last hidden layer down to seminorms of the responses σ(H u) of the first.

K layers W_1, …, W_K with σ between them: the scores S of W_K's inputs are peeled K − 2 times, with the maps between the
layers, and the polar is at most the largest over |u| ≤ 1 of the seminorms of σ(H u). One or two score columns are
peeled for several single columns apart, each of one sign (`fan`); more are peeled together, for both signs.
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
from certify.bounds.layers.peeling import Majorized, Peel, peeled, peeled_side
from certify.problem import Slopes

# The multipliers of all layers, the last hidden layer first.
Peels = tuple[Peel, ...]
# The multipliers of a layer, for what measures its responses, and for how many signs.
Choice = Callable[[PeeledScores, Majorized, int], Peel]


@final
@dataclass(frozen=True, slots=True)
class Chain:
    """What lies between the first responses and the scores.

    Attributes:
        slopes: of σ of the first layer.
        steps: from the scores down, one of responses for each hidden layer but the first; dense layers have no step.
        fan: corners v_k (m, K) of `fan_of`, if the first step is one of responses; None to peel all columns together.
    """

    slopes: Slopes
    steps: tuple[Kink | MaxPooling | Convolution | FixedMap, ...]
    fan: Tensor | None

    def sides(self, scores: Tensor) -> list[Tensor]:
        """Columns (N, 1) of one sign whose polars bound that of the scores (N, m), or the scores, for both signs."""
        return [scores] if self.fan is None else list((scores @ self.fan).T[:, :, None])

    def seminorms(self, scores: Tensor, peels: tuple[Peels, ...]) -> list[PeeledScores]:
        """The seminorms of the first responses for scores (N, m), one for each of `sides`."""
        found = []
        for side, own in zip(self.sides(scores), peels, strict=True):
            given = iter(own)

            def choice(above: PeeledScores, responses: Majorized, signs: int, given: Iterator[Peel] = given) -> Peel:
                return next(given)

            found.append(self.seminorm(side, choice))
        return found

    def seminorm(self, side: Tensor, choice: Choice) -> PeeledScores:
        """The seminorm for one of `sides`, with multipliers as they are chosen on the way."""
        form = unpeeled(side)
        for level, step in enumerate(self.steps):
            if isinstance(step, Convolution | FixedMap):
                form = step.below(form)
            elif level == 0 and self.fan is not None:
                form = peeled_side(side, choice(form, step, 1), step)
            else:
                form = peeled(form, choice(form, step, 2), step)
        return form
