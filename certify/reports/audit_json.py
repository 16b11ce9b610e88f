"""`certify.audit-result/1`: the results of an audit, each with an `audit` block, and a summary."""

from __future__ import annotations

from typing import Any

from certify.certificates.audit_result import AuditItem, AuditResult
from certify.version import __version__

SCHEMA = "certify.audit-result/1"
# Of the `audit` block: what it says of the item beside its result.
BLOCK = ("name", "file", "line", "column", "expect", "met", "failure", "origin", "exit_code", "counted_code", "seconds")


def audit_object(audit: AuditResult) -> dict[str, Any]:
    """The audit as a JSON-ready dictionary, keys in the order of the schema."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "certify", "version": __version__},
        "results": [item_object(item) for item in audit.items],
        "summary": {
            "file": audit.file,
            "items": len(audit.items),
            **audit.outcomes,
            "unmet": len(audit.unmet),
            "origins": audit.origins,
            "left_out": list(audit.left_out),
            "interrupted": audit.interrupted,
            "exit_code": audit.exit_code,
            "seconds": audit.seconds,
            "notes": list(audit.notes),
        },
    }


def item_object(item: AuditItem) -> dict[str, Any]:
    """One result: its `certify.result/1` or error object with the `audit` block."""
    block = {key: getattr(item, key) for key in BLOCK}
    return {**item.result, "audit": {**block, "failure": item.failure or None}}
