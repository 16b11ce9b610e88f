"""`certify explain CODE`: what a reason or error code means, the theorem behind it, what to do."""

from __future__ import annotations

import click

from certify.errors import UsageError
from certify.reports.terminal import say


@click.command("explain", short_help="What a reason or error code means, and what to do.")
@click.argument("code", required=False)
def explain_command(code: str | None) -> None:
    """Explain a reason or error CODE; without one, list them all."""
    from certify.reports.explanations import EXPLANATIONS

    if code is None:
        width = max(len(name) for name in EXPLANATIONS)
        for name, entry in EXPLANATIONS.items():
            say(f"{name:<{width}}  {entry.title}")
        return
    if code not in EXPLANATIONS:
        import difflib

        close = difflib.get_close_matches(code, EXPLANATIONS, 1)
        hint = f"; did you mean '{close[0]}'?" if close else "; `certify explain` lists all codes"
        raise UsageError(f"unknown code '{code}'{hint}")
    entry = EXPLANATIONS[code]
    say(f"{code}: {entry.title}\n")
    for label, text in (("Meaning", entry.meaning), ("Theory", entry.theory), ("What to do", entry.remedy)):
        if text:
            say(click.wrap_text(f"{label}: {text}", width=96, subsequent_indent="  "))
