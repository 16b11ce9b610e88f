"""Whether an item is as the audit asks, and what it adds to the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from certify.audits.baseline import Standing, regression, standing_of
from certify.audits.plan import PlannedItem
from certify.certificates.gravity import VERDICT_CODES
from certify.errors import ExitCode


def code_of(result: Mapping[str, Any]) -> int:
    """The exit code of one result or error object."""
    verdict = result["verdict"]
    return int(VERDICT_CODES[verdict] if verdict else result["exit_code"])


def failure_of(item: PlannedItem, result: Mapping[str, Any], before: Standing | None) -> tuple[str, int]:
    """Why an item counts against the audit, and the exit code that it adds; empty and 0 if it does not.

    `before` is where it stood in the baseline; None without one, or for a new item.
    """
    if before is not None:
        worse = regression(before, standing_of(result))
        return worse, (code_of(result) or int(ExitCode.NOT_CERTIFIED)) if worse else 0
    if result["verdict"] is None:
        return f"{result['reason']}: {result['message']}", code_of(result)
    if item.expect not in ("any", result["verdict"]):
        found = "" if item.expect == "certified" else f", expected {item.expect}"
        return f"{result['verdict']}{found}: {result['message']}", code_of(result) or int(ExitCode.NOT_CERTIFIED)
    gap, most = result["gap"]["relative"], item.max_relative_gap
    if most is not None and (gap is None or not gap <= most):
        shown = "not bounded" if gap is None else f"{gap:.3g}"
        return f"the proven relative gap is {shown}, above max_relative_gap {most:g}", int(ExitCode.NOT_CERTIFIED)
    return "", 0
