"""An audit as a report: its items' JSON objects read back into results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from certify.certificates.audit_result import AuditItem, AuditResult
from certify.certificates.gravity import GRAVITY
from certify.certificates.result import Result
from certify.reports.audit_json import audit_object, item_object
from certify.reports.explanations import EXPLANATIONS
from certify.reports.report import Entry, Failure, Place, Report
from certify.reports.result_json import error_object, result_object

_RESULT = TypeAdapter(Result)


def report_of_audit(audit: AuditResult) -> Report:
    """The report that all formats of an audit are written from."""
    entries = tuple(_entry(item) for item in audit.items)
    return Report(entries, audit_object(audit), left_out=audit.left_out, notes=audit.notes)


def result_of(content: Mapping[str, Any]) -> Result:
    """The result that a `certify.result/1` object with a verdict was made from.

    Raises:
        pydantic.ValidationError: the object is not of that schema.
    """
    polar, parts = content["polar"], content["gap_breakdown"]
    fields = {
        **content,
        "lower_bound": _or(content["lower_bound"], -math.inf),
        "optimum_estimate": content["estimate"] and content["estimate"]["objective"],
        "relative_gap_tolerance": content["tolerance"]["relative_gap"],
        "absolute_gap_tolerance": content["tolerance"]["absolute_gap"],
        "polar": {**polar, "lower": _or(polar["lower"], -math.inf), "upper": _or(polar["upper"], math.inf)},
        "breakdown": {part: _or(value, math.inf) for part, value in parts.items()},
    }
    return _RESULT.validate_python(fields)


def is_whole(content: Mapping[str, Any]) -> bool:
    """Whether what stands for a result or error object is what certify writes for one."""
    try:
        return content["reason"] in EXPLANATIONS and content == _written(content)
    except (ValidationError, LookupError, TypeError, AttributeError):
        return False


def _written(content: Mapping[str, Any]) -> dict[str, Any]:
    match content:
        case {
            "verdict": None,
            "reason": str(code),
            "message": str(message),
            "exit_code": int(exit_code),
            "model": {"path": str(path)},
        } if exit_code in GRAVITY:
            return error_object(path, code, exit_code, message)
    return result_object(result_of(content))


def _or(value: float | None, infinite: float) -> float:
    return infinite if value is None else value


def _entry(item: AuditItem) -> Entry:
    content = item.result
    failed = content["verdict"] is None
    return Entry(
        name=item.name,
        outcome=Failure(content["reason"], content["message"]) if failed else result_of(content),
        content=item_object(item),
        place=Place(item.file, item.line, item.column),
        exit_code=item.counted_code,
        unmet=item.failure,
        origin=item.origin,
        seconds=item.seconds,
    )
