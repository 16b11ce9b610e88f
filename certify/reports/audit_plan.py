"""What `certify audit --plan` shows: what would run and what it would cost, as text and as `certify.audit-plan/1`."""

from __future__ import annotations

from typing import Any, get_args

from certify.certificates.audit_plan import AuditForecast, Expected, PlannedAnswer

SCHEMA = "certify.audit-plan/1"
# Items that the text lists; the rest is counted.
MOST_ROWS = 200
# Seconds of a check whose problem file was not read.
DEFAULT_BUDGET = 60.0


def plan_object(forecast: AuditForecast) -> dict[str, Any]:
    """The plan as a JSON-ready dictionary, schema `certify.audit-plan/1`."""
    return {
        "schema": SCHEMA,
        "file": forecast.file,
        "items": [
            {
                "name": answer.name,
                "model": answer.model,
                "line": answer.line,
                "expect": answer.expect,
                "answer": answer.expected,
                "verdict": answer.verdict,
                "last_seconds": answer.seconds,
                "budget_seconds": answer.budget,
            }
            for answer in forecast.answers
        ],
    }


def plan_lines(forecast: AuditForecast) -> list[str]:
    """The plan as text."""
    shown = forecast.answers[:MOST_ROWS]
    width = max((len(answer.name) for answer in shown), default=0)
    lines = [f"{answer.expected:<8}{answer.name:<{width}}  {_cost(answer)}" for answer in shown]
    if len(forecast.answers) > len(shown):
        lines.append(f"and {len(forecast.answers) - len(shown)} more")
    return [*lines, _summary(forecast)]


def _cost(answer: PlannedAnswer) -> str:
    if answer.expected == "cached":
        return f"{answer.verdict}, verified again"
    if answer.expected == "missing":
        return f"{answer.model} is not there"
    if answer.seconds is not None:
        return f"took {answer.seconds:.1f} s last time"
    return "up to the budget of its problem file" if answer.budget is None else f"up to {answer.budget:g} s"


def _summary(forecast: AuditForecast) -> str:
    answers = forecast.answers
    counts = [f"{sum(answer.expected == kind for answer in answers)} {kind}" for kind in get_args(Expected)]
    running = [answer for answer in answers if answer.expected == "run"]
    known = [answer.seconds for answer in running if answer.seconds is not None]
    new = [answer.budget or DEFAULT_BUDGET for answer in running if answer.seconds is None]
    cost = [f"{sum(known):.0f} s as last time"] if known else []
    cost += [f"at most about {sum(new):.0f} s for {len(new)} new ones"] if new else []
    total = f"; on one core: {', '.join(cost)}" if cost else ""
    return f"{forecast.file}: {len(answers)} items: {', '.join(counts)}{total}"
