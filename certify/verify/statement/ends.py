"""The ends of a proof about several layers: of one score column, one for each sign; of several, one for both."""

from __future__ import annotations

from collections.abc import Mapping

SIGNS: Mapping[str, float] = {"plus": 1.0, "minus": -1.0}
# By whether there is one score column, and a kink in the last hidden layer.
ENDS: Mapping[bool, tuple[str, ...]] = {True: tuple(SIGNS), False: ("both",)}
