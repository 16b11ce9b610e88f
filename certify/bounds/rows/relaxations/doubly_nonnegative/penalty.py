"""How the penalty β of the splitting moves from round to round.

It rises or falls as long as bounds rise faster for it. Once U ≤ λ holds nearly, a small β changes little; from then on
it rises, which moves the dual point, and falls, which brings U back to λ, in turns.
"""

from __future__ import annotations

from typing import final

FACTOR = 1.5
# A rise below this share of the one before turns the direction in which β moves.
SLOWER = 0.75
# Shares of what is missing that scaling by λ/U costs: where β starts to rise, and where it has to fall again.
NEAR, FAR = 0.02, 0.15
# Most rounds in which it rises, and in which it falls.
RISING, FALLING = 12, 24


@final
class PenaltyCourse:
    """Where β goes.

    Attributes:
        factor: by which it moves next.
        reached: the bound of the last round.
    """

    def __init__(self, reached: float) -> None:
        """Start from a bound."""
        self.factor, self.reached = FACTOR, reached
        self._rise = 0.0
        # Rounds until β turns; none before it does so.
        self._left: int | None = None

    @property
    def is_low(self) -> bool:
        """Whether β is at a low end of its course, or has none yet."""
        return self._left is None or (self._left == RISING and self.factor > 1)

    def steer(self, value: float, excess: float, behind: float) -> None:
        """Take a round into account.

        Args:
            value: of its bound.
            excess: the share of what is missing that scaling cost it.
            behind: how much more is missing than for the best bound, relative.
        """
        slower = value - self.reached < SLOWER * self._rise
        self.reached, self._rise = value, value - self.reached
        if self._left is None and excess > NEAR:
            self.factor = 1 / self.factor if slower else self.factor
            return
        rises = self._left is not None and self.factor > 1
        self._left = (self._left or 0) - 1
        if self._left <= 0 or (max(excess, behind) >= FAR if rises else excess <= NEAR):
            self.factor, self._left = (1 / FACTOR, FALLING) if rises else (FACTOR, RISING)
