"""What growth did, for people: a few rows that follow those of the result."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from certify.certificates.growth_report import GrowthReport
from certify.reports import phrases
from certify.reports.growth_rows import lowered, widths
from certify.reports.result_text import LABEL_WIDTH, TERMINAL_LABEL_WIDTH


def print_growth(console: Console, report: GrowthReport) -> None:
    """Print the rows; nothing else goes to this console."""
    rows = _rows(report)
    if not console.is_terminal:
        for label, text in rows:
            console.print(Text(f"  {label:<{LABEL_WIDTH}}{text}"), soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=TERMINAL_LABEL_WIDTH)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(label, Text(text))
    console.print(Padding(table, (0, 0, 0, 2)))


def _rows(report: GrowthReport) -> list[tuple[str, str]]:
    path = f"from {phrases.count(report.width_bound, 'subnetwork')} on a path that never rises leads to a global"
    return [
        ("grown", widths(report)),
        ("lowered", lowered(report)),
        ("theorem 2", f"{path} minimum"),
    ]
