"""What `certify audit --plan` shows: what would run and what it would cost, as text and as `certify.audit-plan/1`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, get_args

from certify.certificates.audit_plan import Expected, PlannedAnswer

SCHEMA = "certify.audit-plan/1"
# Items that the text lists; the rest is counted.
MOST_ROWS = 200
# Seconds of a check whose problem file was not read.
DEFAULT_BUDGET = 60.0


def plan_object(file: str, items: list[PlannedAnswer]) -> dict[str, Any]:
    """The plan as a JSON-ready dictionary, schema `certify.audit-plan/1`."""
    return {"schema": SCHEMA, "file": file, "items": [asdict(item) for item in items]}


def plan_lines(file: str, items: list[PlannedAnswer]) -> list[str]:
    """The plan as text."""
    shown = items[:MOST_ROWS]
    width = max((len(item.name) for item in shown), default=0)
    lines = [f"{item.answer:<8}{item.name:<{width}}  {_cost(item)}" for item in shown]
    if len(items) > len(shown):
        lines.append(f"and {len(items) - len(shown)} more")
    return [*lines, _summary(file, items)]


def _cost(item: PlannedAnswer) -> str:
    if item.answer == "cached":
        return f"{item.verdict}, verified again"
    if item.answer == "missing":
        return f"{item.model} is not there"
    if item.last_seconds is not None:
        return f"took {item.last_seconds:.1f} s last time"
    return "up to the budget of its problem file" if item.budget_seconds is None else f"up to {item.budget_seconds:g} s"


def _summary(file: str, items: list[PlannedAnswer]) -> str:
    counts = [f"{sum(item.answer == kind for item in items)} {kind}" for kind in get_args(Expected)]
    running = [item for item in items if item.answer == "run"]
    known = [item.last_seconds for item in running if item.last_seconds is not None]
    new = [item.budget_seconds or DEFAULT_BUDGET for item in running if item.last_seconds is None]
    cost = [f"{sum(known):.0f} s as last time"] if known else []
    cost += [f"at most about {sum(new):.0f} s for {len(new)} new ones"] if new else []
    total = f"; on one core: {', '.join(cost)}" if cost else ""
    return f"{file}: {len(items)} items: {', '.join(counts)}{total}"
