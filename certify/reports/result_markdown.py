"""Results as Markdown, for pull requests and step summaries: a table, then what to do about each open model."""

from __future__ import annotations

import re

from certify.reports import phrases
from certify.reports.report import Entry, Report

HEADER = (
    "| model | verdict | proof | gap | tolerance | objective | bound | reason |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|<>~@&$])")


def markdown_report(report: Report) -> str:
    """Counts, the table, and details of every model that is not certified or has notes."""
    details = [detail(entry) for entry in report.entries if needs_detail(entry)]
    notes = [f"- {escaped(note)}" for note in notes_of(report)]
    table = "\n".join([HEADER, *map(table_row, report.entries)])
    parts = [f"**{phrases.counted(report)}**", "\n".join(notes), table, *details]
    return "\n\n".join(part for part in parts if part) + "\n"


def notes_of(report: Report) -> list[str]:
    """What is said about the run as a whole."""
    return [*report.notes, *(f"{name}: {phrases.LEFT_OUT}" for name in report.left_out)]


def table_row(entry: Entry) -> str:
    """The row of one entry."""
    result, name = entry.result, f"| {escaped(entry.name)} |"
    if result is None:
        return f"{name} **failed** | | | | | | `{entry.reason}` |"
    cells = (
        f"**{result.verdict}**" + (f" {phrases.standing(entry)}" if entry.passed else ""),
        result.proof,
        phrases.relative_gap(result),
        phrases.tolerance(result),
        phrases.number(result.objective),
        phrases.bound(result),
        f"`{result.reason}`",
    )
    return f"{name} {' | '.join(cells)} |"


def needs_detail(entry: Entry) -> bool:
    """Whether there is more to say than the table does."""
    result = entry.result
    if result is None or not entry.passed:
        return True
    return (result.verdict, result.proof) != ("certified", "rigorous") or bool(phrases.remarks(result))


def detail(entry: Entry) -> str:
    """A list of what was found about one entry, and what to do."""
    lines = [f"**{escaped(entry.name)}**: {escaped(phrases.stated(entry))}", ""]
    if entry.result:
        result = entry.result
        lines.append(f"- Gap: {phrases.gap(result)}; parts: {phrases.parts(result)}")
        lines.append(f"- Proof of the bound: {phrases.proof(result)}")
        lines.extend(f"- Note: {escaped(note)}" for note in phrases.remarks(result))
    lines.append(f"- What to do ({entry.reason}): {escaped(phrases.advice(entry))}")
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
