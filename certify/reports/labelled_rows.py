"""Rows of a label and a text, which those of a result and of a growth share, so that they stand below each other."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

# Off a terminal, rows are single unwrapped lines with labels of this width.
LABEL_WIDTH = 12
# On a terminal the labels are as wide as the longest of them, so that what follows a result can line up with it.
TERMINAL_LABEL_WIDTH = len("best known")


def print_rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Print the rows; nothing else goes to this console meanwhile."""
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
