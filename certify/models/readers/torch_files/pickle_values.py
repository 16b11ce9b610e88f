"""The inert values that stand in a pickle for what it would import, call or leave to its reader."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Global:
    """A class or function by name; not imported.

    Attributes:
        path: module and name, with dots.
    """

    path: str


@final
@dataclass(slots=True, eq=False)
class Call:
    """A call that was not made.

    Attributes:
        callee: what it would call.
        arguments: what it would pass.
        state: what it would set on the result; None for nothing.
        items: keys and values that it would set.
        elements: what it would append.
    """

    callee: object
    arguments: tuple[object, ...]
    state: object = None
    items: dict[str | int, object] = field(default_factory=dict)
    elements: list[object] = field(default_factory=list)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Persistent:
    """What the pickle leaves to its reader, such as a storage.

    Attributes:
        key: how the pickle calls it.
    """

    key: object
