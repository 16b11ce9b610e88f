"""Help with long searches: others that work on parts of them, and a place where their states survive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, final

from torch import Tensor

# Everything that a search needs to go on.
State = Mapping[str, Tensor]


class Crew(Protocol):
    """Runs packs of work elsewhere; a pack and its result are bytes whose meaning is its sender's affair."""

    @property
    def size(self) -> int:
        """Packs worked on at a time; 0 while nobody is there."""
        ...

    @property
    def room(self) -> bool:
        """Whether another pack would soon be worked on."""
        ...

    def send(self, pack: bytes) -> int:
        """Hand out a pack; returns its number."""
        ...

    def wait(self, seconds: float) -> list[tuple[int, bytes | None]]:
        """Results of the packs that have ended, None of those that were lost, after at most so many seconds."""
        ...


class Keeper(Protocol):
    """Keeps the states of the searches at one dual point, one a branch."""

    def kept(self, dual: Tensor, branch: int) -> State | None:
        """The state kept of a search, where the dual point is, or None."""
        ...

    def due(self) -> bool:
        """Whether it is time to keep another state."""
        ...

    def keep(self, dual: Tensor, branch: int, state: State) -> None:
        """Keep a state, unless one of a search at another dual point is kept that is not finished."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Labor:
    """Who helps, if anybody, and the memory that a search may take here, in bytes."""

    crew: Crew | None = None
    keeper: Keeper | None = None
    memory_bytes: int = 2 << 30


ALONE = Labor()


@final
@dataclass(frozen=True, slots=True)
class Aid:
    """What one search has of it.

    Attributes:
        crew: works on parts.
        state: to go on from.
        due: whether to keep the state now.
        keep: keeps it.
    """

    crew: Crew | None = None
    state: State | None = None
    due: Callable[[], bool] = lambda: False
    keep: Callable[[State], None] = lambda state: None


NO_AID = Aid()
