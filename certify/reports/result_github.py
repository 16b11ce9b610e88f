"""Results as GitHub workflow commands: lines on stdout that become annotations of the files they name.

Escaping as in the toolkit of GitHub Actions (packages/core/src/command.ts).
"""

from __future__ import annotations

from certify.reports import phrases
from certify.reports.report import Entry, Report

# GitHub shows this many annotations of each level for a step and drops the others without a word.
LIMIT = 10


def github_report(report: Report) -> str:
    """Errors for what is refuted or could not be checked, warnings for the undecided, one notice that counts."""
    found = [entry for entry in report.entries if not entry.passed]
    lines = _level("error", [entry for entry in found if entry.state != "undecided"])
    lines += _level("warning", [entry for entry in found if entry.state == "undecided"])
    if report.left_out:
        lines.append(_command("warning", {"title": "certify"}, f"{', '.join(report.left_out)}: {phrases.LEFT_OUT}"))
    lines.append(_command("notice", {"title": "certify"}, phrases.counted(report)))
    return "\n".join(lines) + "\n"


def _level(level: str, entries: list[Entry]) -> list[str]:
    shown = entries if len(entries) <= LIMIT else entries[: LIMIT - 1]
    lines = [_annotation(level, entry) for entry in shown]
    if len(shown) < len(entries):
        names = ", ".join(entry.name for entry in entries[len(shown) :])
        text = f"{len(entries) - len(shown)} more, not shown as GitHub shows {LIMIT} of a kind: {names}"
        lines.append(_command(level, {"title": "certify"}, text))
    return lines


def _annotation(level: str, entry: Entry) -> str:
    place = entry.place
    where = {"file": place.path, "line": str(place.line), "col": str(place.column)}
    text = f"{phrases.titled(entry)}\nWhat to do: {phrases.advice(entry)}"
    return _command(level, {**where, "title": f"certify: {entry.state} ({entry.reason})"}, text)


def _command(level: str, properties: dict[str, str], message: str) -> str:
    listed = ",".join(f"{key}={_escaped_property(value)}" for key, value in properties.items())
    return f"::{level} {listed}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
