"""Results as SARIF 2.1.0, for code scanning: a finding per model that does not pass, with its reason as the rule.

A model that passes is no finding: viewers show every result as an alert. It is counted in the properties of the run.
Format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from certify.errors import ExitCode
from certify.reports import phrases
from certify.reports.columns import columns_of
from certify.reports.explanations import EXPLANATIONS
from certify.reports.report import Entry, Report
from certify.reports.result_markdown import notes_of
from certify.version import __version__

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

Json = dict[str, Any]


def sarif_report(report: Report) -> str:
    """The SARIF log with one run."""
    found = [entry for entry in report.entries if not entry.passed]
    codes = sorted({entry.reason for entry in found})
    run = {
        "tool": {"driver": {"name": "certify", "version": __version__, "rules": [_rule(code) for code in codes]}},
        "invocations": [_invocation(report)],
        "columnKind": "unicodeCodePoints",
        "results": [_finding(entry, codes.index(entry.reason)) for entry in found],
        "properties": {"models": len(report.entries), "states": report.states, "leftOut": list(report.left_out)},
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _invocation(report: Report) -> Json:
    complete = not report.left_out and all(entry.exit_code != ExitCode.INTERNAL for entry in report.entries)
    notes = [{"level": "note", "message": {"text": text}} for text in notes_of(report)]
    return {"executionSuccessful": complete, "toolExecutionNotifications": notes}


def _rule(code: str) -> Json:
    known = EXPLANATIONS[code]
    sections = {"": known.meaning, "Theory": known.theory, "What to do": known.remedy}
    parts = [(label, text) for label, text in sections.items() if text]
    return {
        "id": code,
        "shortDescription": {"text": f"{known.title[0].upper()}{known.title[1:]}."},
        "fullDescription": {"text": known.meaning},
        "help": {
            "text": "\n\n".join(f"{label}: {text}" if label else text for label, text in parts),
            "markdown": "\n\n".join(f"**{label}.** {text}" if label else text for label, text in parts),
        },
        "properties": {"tags": ["global-optimality"], "precision": "very-high"},
    }


def _finding(entry: Entry, rule: int) -> Json:
    identity = hashlib.sha256(f"{entry.name}\0{entry.reason}".encode(errors="replace")).hexdigest()[:16]
    return {
        "ruleId": entry.reason,
        "ruleIndex": rule,
        "level": "warning" if entry.state == "undecided" else "error",
        "message": {"text": f"{phrases.titled(entry)}\n\n{phrases.advice(entry)}"},
        "locations": [_location(entry)],
        # The first is what code scanning matches alerts by; it must not change when lines move.
        "partialFingerprints": {"primaryLocationLineHash": f"{identity}:1", "modelAndReason/v1": identity},
        "properties": {key: value for key, value in columns_of(entry).items() if value is not None},
    }


def _location(entry: Entry) -> Json:
    place = entry.place
    region = {"startLine": place.line, "startColumn": place.column}
    path = Path(place.path)
    uri = path.as_uri() if path.is_absolute() else quote(path.as_posix(), errors="replace")
    return {
        "physicalLocation": {"artifactLocation": {"uri": uri}, "region": region},
        "logicalLocations": [{"name": entry.name, "kind": "model"}],
    }
