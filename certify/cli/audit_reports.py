"""Reports of an audit: one format on stdout, any number of files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import click

from certify.audits.plan import PlannedItem
from certify.certificates.audit_result import AuditItem, AuditResult
from certify.cli.report_files import ReportFiles
from certify.errors import UsageError
from certify.reports.audit_json import item_object
from certify.reports.audit_report import report_of_audit
from certify.reports.audit_text import item_line, print_audit
from certify.reports.formats import FORMATS
from certify.reports.result_json import to_json
from certify.workflows.audit_run import AuditListener

# Width of the text off a terminal: nothing is wrapped, so that lines can be searched.
WIDE = 2000


@final
class AuditReports:
    """Prints items as they come, where the format does, and the rest at the end."""

    def __init__(self, flags: dict[str, Any]) -> None:
        """Check where reports go.

        Raises:
            UsageError: a report cannot be written where it should go.
        """
        self._format, self._quiet, self._verbose = flags["format_"], flags["quiet"], flags["verbose"]
        self.color = not flags["no_color"] and not os.environ.get("NO_COLOR")
        self._files = ReportFiles(flags["outputs"], (flags["baseline"],))
        if self._files.on_stdout and self._format != "text":
            raise UsageError(f"--format {self._format} and an --output to - both take standard output; give one a path")
        self._text = self._format == "text" and not self._files.on_stdout

    def watched(self, view: AuditListener) -> AuditListener:
        """A listener that prints what is to be printed at once, and passes everything on."""
        return _Watched(view, self._item)

    def finish(self, audit: AuditResult) -> None:
        """Print the report of the whole audit and write the files.

        Raises:
            UsageError: a file could not be written after all.
        """
        report = report_of_audit(audit)
        if self._text and not self._quiet:
            from rich.console import Console

            width = None if sys.stdout.isatty() else WIDE
            console = Console(file=sys.stdout, no_color=not self.color, highlight=False, width=width)
            print_audit(console, audit, self._verbose)
        elif self._format in ("json", "markdown"):
            click.echo(FORMATS[self._format](report), nl=False)
        self._files.write(report)

    def _item(self, item: AuditItem) -> None:
        if self._format == "jsonl":
            click.echo(to_json(item_object(item), indent=None))
        elif self._text and self._quiet:
            click.echo(item_line(item))


@final
class _Watched:
    """Passes everything on, and shows ended items."""

    def __init__(self, view: AuditListener, show: Callable[[AuditItem], None]) -> None:
        self._view, self._show = view, show

    def started(self, item: PlannedItem, folder: Path | None) -> None:
        self._view.started(item, folder)

    def ended(self, item: AuditItem) -> None:
        self._show(item)
        self._view.ended(item)

    def tick(self) -> None:
        self._view.tick()
