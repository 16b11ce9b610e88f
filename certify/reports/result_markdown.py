"""A Markdown table of results, for pull requests and step summaries."""

from __future__ import annotations

from typing import Any

HEADER = "| model | verdict | gap | objective | bound | reason |\n| --- | --- | --- | --- | --- | --- |"


def markdown_table(objects: list[dict[str, Any]]) -> str:
    """One row per result object of `certify.result/1`."""
    return "\n".join([HEADER, *(_row(entry) for entry in objects)])


def _row(entry: dict[str, Any]) -> str:
    name = _cell(str(entry["model"]["path"] or "live model"))
    if entry["verdict"] is None:
        return f"| {name} | failed | | | | {_cell(entry['message'])} [{entry['reason']}] |"
    gap = entry["gap"]["relative"]
    gap_text = "unbounded" if gap is None else f"{gap:.2e}"
    bound = entry["lower_bound"]
    bound_text = "none" if bound is None else f"{bound:.8g}"
    return (
        f"| {name} | **{entry['verdict']}** | {gap_text} | {entry['objective']:.8g} | {bound_text} | "
        f"{_cell(entry['message'])} [{entry['reason']}] |"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
