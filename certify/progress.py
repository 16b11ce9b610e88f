"""What long work tells of itself: one event for every listener."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

Phase = Literal["searching", "bounding", "verifying", "pruning"]


@final
@dataclass(frozen=True, slots=True)
class Progress:
    """One event; what its sender does not know is None, and may be filled in by whoever passes it on.

    Attributes:
        phase: what is being done.
        objective: smallest objective so far.
        lower_bound: largest proven so far.
        polar: interval of the polar that is being bounded, in units of λ.
        method: of the bound.
        detail: a few words.
    """

    phase: Phase
    objective: float | None = None
    lower_bound: float | None = None
    polar: tuple[float, float] | None = None
    method: str = ""
    detail: str = ""


Listener = Callable[[Progress], None]


def silent(event: Progress) -> None:
    """A listener that ignores everything."""


def paced(listener: Listener, seconds: float, last: float = -math.inf) -> Listener:
    """The listener, told of nothing within so many seconds after it was told last, a value of `time.monotonic()`."""

    def tell(event: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= seconds:
            last = now
            listener(event)

    return tell
