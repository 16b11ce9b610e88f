"""The summary of a GitHub step: the Markdown report, cut at a whole row so that it stays under GitHub's limit."""

from __future__ import annotations

from certify.reports import phrases
from certify.reports.report import Report
from certify.reports.result_markdown import HEADER, detail, escaped, needs_detail, notes_of, table_row

# GitHub drops the whole summary of a step that is larger.
LIMIT_BYTES = 1024 * 1024
# Room for the line that says what was left out.
RESERVE_BYTES = 200


def step_summary(report: Report, limit_bytes: int = LIMIT_BYTES) -> str:
    """Title, counts, table and details, at most `limit_bytes` of UTF-8; empty if not even the title fits."""
    room = limit_bytes - RESERVE_BYTES
    head = f"### certify: {phrases.counted(report)}\n\n{HEADER}\n"
    rows = [f"{table_row(entry)}\n" for entry in report.entries]
    notes = [f"\n- {escaped(note)}\n" for note in notes_of(report)]
    details = [f"\n{detail(entry)}\n" for entry in report.entries if needs_detail(entry)]
    kept, left_out = [], 0
    for piece in [head, *rows, *notes, *details]:
        room -= len(piece.encode(errors="replace"))
        if room < 0:
            left_out += 1
        else:
            kept.append(piece)
    if not kept:
        return ""
    said = f"\n{left_out} rows or details are left out: GitHub's limit is 1 MiB.\n" if left_out else ""
    return "".join(kept) + said
