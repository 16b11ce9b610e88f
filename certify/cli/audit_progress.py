"""Progress of an audit on stderr: a live table on a terminal; elsewhere one line per item as it ends."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, final

from certify.audits.job_folder import PROGRESS
from certify.audits.plan import PlannedItem
from certify.certificates.audit_result import AuditItem
from certify.reports.audit_text import STYLES, item_line
from certify.reports.terminal import inert_line, say, styled_console
from certify.workflows.audit_run import AuditListener

if TYPE_CHECKING:
    from rich.console import ConsoleRenderable

# Running items that the live table shows.
MOST_ROWS = 12
# Times per second that the table is drawn.
FRAMES = 8


@contextmanager
def audit_view(total: int, *, quiet: bool, color: bool) -> Iterator[AuditListener]:
    """A listener for an audit of so many items."""
    if quiet:
        yield AuditListener()
    elif sys.stderr.isatty():
        from rich.live import Live

        console = styled_console(color=color)
        view = _LiveTable(total)
        with Live(console=console, get_renderable=view.table, refresh_per_second=FRAMES, transient=True):
            yield AuditListener(view.started, view.ended)
    else:
        done = itertools.count(1)
        yield AuditListener(ended=lambda item: say(f"[{next(done)}/{total}] {item_line(item)}", err=True))


@final
class _LiveTable:
    """What runs, with its phase and gap, and how far the audit is."""

    def __init__(self, total: int) -> None:
        self._total, self._began = total, time.monotonic()
        self._running: dict[str, tuple[float, Path | None]] = {}
        self._outcomes: Counter[str] = Counter()
        self._unmet = 0

    def started(self, item: PlannedItem, folder: Path | None) -> None:
        self._running[item.name] = (time.monotonic(), folder)

    def ended(self, item: AuditItem) -> None:
        self._running.pop(item.name, None)
        self._outcomes[item.outcome] += 1
        self._unmet += not item.met

    def table(self) -> ConsoleRenderable:
        """The picture now; called by another thread, so that it works on copies."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        done = self._outcomes.total()
        counts = Text("  ").join(
            Text(f"{count} {name}", STYLES[name]) for name, count in list(self._outcomes.items()) if count
        )
        unmet = Text(f"  {self._unmet} not as asked", "red") if self._unmet else Text()
        head = Table.grid(padding=(0, 1))
        head.add_row(
            ProgressBar(total=max(self._total, 1), completed=done, width=30),
            f"{done}/{self._total}",
            f"{time.monotonic() - self._began:.0f} s",
            counts + unmet,
        )
        rows = Table.grid(padding=(0, 2))
        running = list(self._running.items())
        for name, (since, folder) in running[:MOST_ROWS]:
            phase, gap = _progress(folder)
            rows.add_row(
                Text(inert_line(name), overflow="ellipsis", no_wrap=True),
                phase,
                gap,
                f"{time.monotonic() - since:.1f} s",
            )
        more = len(running) - MOST_ROWS
        return Group(head, rows, *([Text(f"and {more} more")] if more > 0 else []))


def _progress(folder: Path | None) -> tuple[str, str]:
    """Phase and gap of a running item, as far as it has told."""
    try:
        state = json.loads((folder / PROGRESS).read_text(encoding="utf-8")) if folder else {}
        gap = state.get("gap")
        return str(state.get("phase", "starting")), "" if gap is None else f"gap {gap:.2%}"
    except (OSError, ValueError, AttributeError):
        return "starting", ""
