"""JSON of untrusted files: plain values, no infinities, bounded depth."""

from __future__ import annotations

import json
from typing import Any

from certify.models.readers.damage import DamageAsRefusal


def parse_json(content: bytes, where: str) -> Any:  # noqa: ANN401
    """The value of a JSON text.

    Raises:
        RefusedError: not JSON, nested too deep, or with numbers that are not finite.
    """
    with DamageAsRefusal(where, "JSON", (ValueError, RecursionError)):
        return json.loads(content, parse_constant=_refused)


def _refused(name: str) -> float:
    raise ValueError(f"the number {name}")
