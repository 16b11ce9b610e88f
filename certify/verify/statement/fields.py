"""The spellings that a header may hold: each reader takes one value, and refuses every other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from certify.verify.container import LARGEST_MAGNITUDE
from certify.verify.rejection import refuse

LARGEST_INTEGER = 2**31 - 1


def section(value: object, name: str, keys: Sequence[str]) -> dict[str, Any]:
    """An object with exactly the given keys."""
    if not isinstance(value, dict) or sorted(value) != sorted(keys):
        found = sorted(value) if isinstance(value, dict) else type(value).__name__
        refuse("schema", f"{name}: needs exactly the keys {sorted(keys)}, found {found!r:.200}")
    return value


def listed(value: object, name: str) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        refuse("schema", f"{name}: needs a list, found {value!r:.60}")
    return value


def choice(value: object, name: str, allowed: Sequence[str]) -> str:
    """One of the allowed texts."""
    if not isinstance(value, str) or value not in allowed:
        refuse("schema", f"{name}: {value!r:.60} is not one of {', '.join(allowed)}")
    return value


def text(value: object, name: str) -> str:
    """Any text."""
    if not isinstance(value, str):
        refuse("schema", f"{name}: {value!r:.60} is not text")
    return value


def number(value: object, name: str) -> float:
    """A float, written exactly as `float.hex` writes it."""
    try:
        found = float.fromhex(text(value, name))
    except (ValueError, OverflowError):
        refuse("schema", f"{name}: {value!r:.60} is not a hexadecimal number")
    if found.hex() != value or not abs(found) <= LARGEST_MAGNITUDE:
        refuse("schema", f"{name}: {value!r:.60} is not a canonical finite hexadecimal number")
    return found


def integer(value: object, name: str, least: int = 0) -> int:
    """An integer from `least` to 2³¹ − 1."""
    if type(value) is not int or not least <= value <= LARGEST_INTEGER:
        refuse("schema", f"{name}: {value!r:.60} is not an integer from {least} to {LARGEST_INTEGER}")
    return value


def integers(value: object, name: str, least: int = 0) -> tuple[int, ...]:
    """A list of at least one integer."""
    found = tuple(integer(entry, name, least) for entry in listed(value, name))
    if not found:
        refuse("schema", f"{name}: needs at least one integer")
    return found


def flag(value: object, name: str) -> bool:
    """True or false."""
    if type(value) is not bool:
        refuse("schema", f"{name}: needs true or false, found {value!r:.60}")
    return value


def digest(value: object, name: str) -> str:
    """A SHA-256 in lower-case hexadecimal."""
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        refuse("schema", f"{name} is not a SHA-256 in hexadecimal")
    return value
