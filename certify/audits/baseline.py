"""Baselines: where every item stood, so that an audit fails only on what became worse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from certify.certificates.gravity import OUTCOMES
from certify.errors import UsageError
from certify.whole_file import write_whole

SCHEMA = "certify.audit-baseline/2"
# A gap that is not certified may grow by this share and by this much before it counts as worse: searches that run
# against the clock do not repeat to the last digit.
GAP_SHARE = 0.1
GAP_FLOOR = 1e-6


@final
@dataclass(frozen=True, slots=True)
class Standing:
    """One item: its verdict, or `failed`; where it has one, its proven relative gap and the digest of its problem."""

    outcome: str
    relative_gap: float | None = None
    statement: str | None = None


def standing_of(result: Mapping[str, Any]) -> Standing:
    """Where a result or error object stands."""
    verdict = result["verdict"]
    return Standing(verdict, result["gap"]["relative"], result.get("statement")) if verdict else Standing("failed")


def regression(before: Standing, now: Standing) -> str:
    """How an item became worse, as a sentence; empty if it did not.

    Worse is a later one of `OUTCOMES`, or, where it is not certified, a relative gap above (1 + `GAP_SHARE`) of the
    former one plus `GAP_FLOOR`. Of another problem it cannot be told.
    """
    if OUTCOMES.index(now.outcome) > OUTCOMES.index(before.outcome):
        return f"worse than the baseline: {before.outcome} before, {now.outcome} now"
    if before.statement and now.statement and before.statement != now.statement:
        return "another problem than in the baseline: its loss, penalty, layers, data or tolerance changed"
    if now.outcome in ("certified", "failed") or before.relative_gap is None:
        return ""
    most = (1 + GAP_SHARE) * before.relative_gap + GAP_FLOOR
    if now.relative_gap is not None and now.relative_gap <= most:
        return ""
    found = "not bounded" if now.relative_gap is None else f"{now.relative_gap:.3g}"
    return f"worse than the baseline: relative gap {before.relative_gap:.3g} before, {found} now"


def load_baseline(path: Path) -> dict[str, Standing]:
    """The standings by name of the item.

    Raises:
        UsageError: missing, or no baseline.
    """
    try:
        content = json.loads(path.read_bytes())
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {content['schema']!r}")
        return {name: _standing(entry) for name, entry in content["items"].items()}
    except FileNotFoundError as error:
        raise UsageError(
            f"{path}: baseline not found; --update-baseline writes it from this audit", code="missing-file"
        ) from error
    except OSError as error:
        raise UsageError(f"{path}: cannot read the baseline: {error.strerror}", code="unreadable-file") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path}: not a baseline of schema {SCHEMA}: {error}", code="baseline") from error


def save_baseline(path: Path, standings: Mapping[str, Standing]) -> None:
    """Write a baseline, sorted and one item per line; it is there whole or not at all.

    Raises:
        UsageError: cannot be written.
    """
    rows = ",\n".join(
        f"    {json.dumps(name, ensure_ascii=False)}: " + json.dumps(asdict(entry), allow_nan=False)
        for name, entry in sorted(standings.items())
    )
    text = f'{{\n  "schema": "{SCHEMA}",\n  "items": {{\n{rows}\n  }}\n}}\n'
    write_whole(path, text.encode(errors="surrogatepass"))


def _standing(entry: Mapping[str, Any]) -> Standing:
    outcome, gap, statement = entry["outcome"], entry["relative_gap"], entry["statement"]
    if (
        outcome not in OUTCOMES
        or not (gap is None or (isinstance(gap, int | float) and gap >= 0))
        or not isinstance(statement, str | None)
    ):
        raise ValueError(f"an item {entry!r}")
    return Standing(outcome, gap, statement)
