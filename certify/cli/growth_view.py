"""Progress of a growth on stderr: a live table of rounds on a terminal; elsewhere one aligned line per round."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from certify.certificates.growth_report import GrowthRound
from certify.cli.progress import interval_line
from certify.progress import Listener, Progress, silent
from certify.reports.growth_rows import HEADINGS, cells_of
from certify.reports.terminal import say, styled_console

if TYPE_CHECKING:
    from rich.console import Console, ConsoleRenderable
    from rich.table import Table

# Latest rounds that the live table shows, where the terminal is high enough.
MOST_ROWS = 12
# Lines of the live view beside the rounds, and one to spare.
OTHER_LINES = 7
# Times per second that the table is drawn.
FRAMES = 8
# Widths of the columns off a terminal: the longest that a number of 8 digits takes.
WIDTHS = (5, 6, 14, 14, 9, 10, 10)
# Terminals narrower than this are shown fewer columns: these are the first to go.
NARROW, FIRST_TO_GO = 76, ("violation", "elapsed")
BLOCKS = "▁▂▃▄▅▆▇█"
# Gaps below this share are drawn as it.
SMALLEST_GAP = 1e-16


@final
@dataclass(frozen=True, slots=True)
class GrowthView:
    """Shows a growth while it runs: that a round has ended, and where one stands; must not fail."""

    round: Callable[[GrowthRound], None]
    progress: Listener = silent


@contextmanager
def growth_view(model: str, *, quiet: bool, color: bool) -> Iterator[GrowthView]:
    """A view of one growth; the table stays on the screen, also after Ctrl-C."""
    if quiet:
        yield GrowthView(lambda row: None)
        return
    if sys.stderr.isatty():
        console = styled_console(color=color)
        if not console.is_dumb_terminal:
            with _live(console, model) as view:
                yield view
            return
    headings = iter([HEADINGS])

    def write(row: GrowthRound) -> None:
        """One line, the first one after a line of headings."""
        for cells in (*headings, cells_of(row)):
            say(" ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True)), err=True)

    yield GrowthView(write)


@contextmanager
def _live(console: Console, model: str) -> Iterator[GrowthView]:
    from rich.live import Live

    view = _LiveTable(console, model)
    # What goes to a file or a pipe must not end up in the view.
    redirect = sys.stdout.isatty()
    with Live(console=console, get_renderable=view.picture, refresh_per_second=FRAMES, redirect_stdout=redirect):
        try:
            yield GrowthView(view.round, view.progress)
        finally:
            view.end()


@final
class _LiveTable:
    """The latest rounds, the trend of the gap over all of them, and what is being done."""

    def __init__(self, console: Console, model: str) -> None:
        from rich.spinner import Spinner

        self._console, self._model = console, model
        self._rows: list[GrowthRound] = []
        self._phase: str | None = "reading the landscape"
        self._spinner = Spinner("dots")

    def round(self, row: GrowthRound) -> None:
        self._rows.append(row)

    def progress(self, event: Progress) -> None:
        self._phase = interval_line(event)

    def end(self) -> None:
        """Nothing more is done; the rounds stay."""
        self._phase = None

    def picture(self) -> ConsoleRenderable:
        """The picture now; called by another thread, so that it works on copies."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        rows, phase = list(self._rows), self._phase
        width, height = self._console.size
        parts: list[ConsoleRenderable] = []
        if rows:
            trend = sparkline([row.relative_gap for row in rows], max(width // 3, 1))
            head = Text.assemble((self._model, "bold"), "  ", (trend, "cyan"), f"  gap {cells_of(rows[-1])[4]}")
            head.no_wrap, head.overflow = True, "ellipsis"
            shown = max(min(MOST_ROWS, height - OTHER_LINES), 1)
            parts += [head, _table(rows[-shown:], len(rows) - shown, width)]
        if phase is not None:
            line = Table.grid(padding=(0, 1), expand=True)
            line.add_column(width=1)
            line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
            line.add_row(self._spinner, Text(phase if rows else f"{self._model}: {phase}"))
            parts.append(line)
        return Group(*parts)


def sparkline(gaps: list[float], most: int) -> str:
    """The logarithms of the last `most` gaps as blocks: the highest is the largest gap, a space is no bound yet."""
    logs = [math.log10(max(gap, SMALLEST_GAP)) if math.isfinite(gap) else None for gap in gaps]
    known = [value for value in logs if value is not None]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known)
    heights = [None if value is None else (value - low) / span if span else 0.0 for value in logs]
    return "".join(" " if height is None else BLOCKS[round(height * (len(BLOCKS) - 1))] for height in heights[-most:])


def _table(rows: list[GrowthRound], hidden: int, width: int) -> Table:
    from rich.table import Table

    left_out = FIRST_TO_GO if width < NARROW else ()
    kept = [index for index, heading in enumerate(HEADINGS) if heading not in left_out]
    table = Table(box=None, padding=(0, 2, 0, 1), header_style="dim", pad_edge=False)
    for index in kept:
        table.add_column(HEADINGS[index], justify="right", no_wrap=True)
    if hidden > 0:
        table.add_row("⋮", style="dim")
    for row in rows:
        cells = cells_of(row)
        table.add_row(*(cells[index] for index in kept), style="bold" if row is rows[-1] else "")
    return table
