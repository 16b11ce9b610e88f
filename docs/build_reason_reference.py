"""Write docs/reference/reasons.md from the explanations of codes: python docs/build_reason_reference.py."""

from __future__ import annotations

from pathlib import Path

from certify.reports.explanations import (
    DEFECTS,
    HYPOTHESES,
    OUTCOMES,
    PROBLEM_ERRORS,
    REFUSALS,
    Explanation,
)

TARGET = Path(__file__).parent / "reference" / "reasons.md"
HEADER = """# Reason and error codes

Generated from `certify/reports/explanations.py` by `docs/build_reason_reference.py`; do not edit.
`certify explain CODE` prints the same text.
"""
GROUPS = (
    ("Outcomes of a check", OUTCOMES),
    ("Hypotheses that fail (exit code 4)", HYPOTHESES),
    ("The problem as given (exit code 2)", PROBLEM_ERRORS),
    ("Inputs refused (exit code 5)", REFUSALS),
    ("Defects (exit code 70)", DEFECTS),
)


def reason_reference() -> str:
    """The page, in the order of the table of explanations."""
    return HEADER + "".join(
        f"\n## {title}\n" + "".join(_entry(code, entry) for code, entry in group.items()) for title, group in GROUPS
    )


def _entry(code: str, entry: Explanation) -> str:
    rows = [("Meaning", entry.meaning), ("Theory", entry.theory), ("What to do", entry.remedy)]
    body = "".join(f"- **{label}.** {_plain(text)}\n" for label, text in rows if text)
    return f"\n### `{code}`\n\n{_plain(entry.title)[0].upper()}{_plain(entry.title)[1:]}.\n\n{body}"


def _plain(text: str) -> str:
    """Text with the characters that Markdown would read as markup escaped."""
    return text.replace("*", "\\*").replace("_", "\\_").replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(reason_reference(), encoding="utf-8")
