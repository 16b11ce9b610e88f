"""What growth did, for people: a few rows that follow those of the result."""

from __future__ import annotations

from rich.console import Console

from certify.certificates.growth_report import GrowthReport
from certify.reports import phrases
from certify.reports.growth_rows import lowered, widths
from certify.reports.labelled_rows import print_rows


def print_growth(console: Console, report: GrowthReport) -> None:
    """Print the rows; nothing else goes to this console."""
    path = f"from {phrases.count(report.width_bound, 'subnetwork')} on a path that never rises leads to a global"
    print_rows(console, [("grown", widths(report)), ("lowered", lowered(report)), ("theorem 2", f"{path} minimum")])
