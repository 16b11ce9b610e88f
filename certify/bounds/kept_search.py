"""Searches over dual points that go on, in a later task of the same objective, where they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final

from torch import Tensor

from certify.bounds.polar import PolarBound, PolarTask


@final
@dataclass(frozen=True, slots=True)
class Found:
    """A dual point, bounds on its polars, one a branch, and the dual value that they prove."""

    dual: Tensor
    bounds: tuple[PolarBound, ...]
    value: float


class Search(Protocol):
    """What is kept: the best of what iterates proved, None before the first proof."""

    best: Found | None

    def go_on(self, task: PolarTask) -> None:
        """Until the bound decides, stalls, or the time of a task of the same objective is out."""


def gone_on(task: PolarTask, name: str, begin: Callable[[PolarTask], Search]) -> Found | None:
    """The best that was found when the search that a task keeps by a name went on; None if nothing was."""
    kept = task.kept.get(name)
    search = kept if isinstance(kept, _Kept) else _Kept(begin(task))
    task.kept[name] = search
    search.value.go_on(task)
    return search.value.best


@final
@dataclass(frozen=True, slots=True)
class _Kept:
    value: Search
