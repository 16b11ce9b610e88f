"""What a workflow tells while it runs."""

from __future__ import annotations

from typing import Protocol


class Listener(Protocol):
    """Receives progress; must not fail."""

    def __call__(self, phase: str, upper: float, lower: float, detail: str) -> None:
        """The interval so far.

        Args:
            phase: what is being done.
            upper: best objective known.
            lower: best proven lower bound, −inf before there is one.
            detail: a few words, for example the method.
        """


def silent(phase: str, upper: float, lower: float, detail: str) -> None:
    """A listener that ignores everything."""
