"""JSON of untrusted files: plain values, no infinities, bounded depth."""

from __future__ import annotations

import json
from typing import Any

from certify.errors import RefusedError


def parse_json(content: bytes, where: str) -> Any:  # noqa: ANN401
    """The value of a JSON text.

    Raises:
        RefusedError: not JSON, nested too deep, or with numbers that are not finite.
    """
    try:
        return json.loads(content, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise RefusedError(f"{where}: truncated or corrupt JSON ({reason})", code="corrupt-file") from error


def _refused(name: str) -> float:
    raise ValueError(f"the number {name}")
