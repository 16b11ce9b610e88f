"""Reports of an audit: one format on stdout, any number of files."""

from __future__ import annotations

import sys
from typing import final

from certify.certificates.audit_result import AuditItem, AuditResult
from certify.cli.flags import ReportFlags
from certify.cli.report_files import ReportFiles
from certify.reports.audit_json import item_object
from certify.reports.audit_report import report_of_audit
from certify.reports.audit_text import item_line, print_audit
from certify.reports.result_json import to_json
from certify.reports.terminal import say
from certify.workflows.audit_run import AuditListener

# Width of the text off a terminal: nothing is wrapped, so that lines can be searched.
WIDE = 2000


@final
class AuditReports:
    """Prints items as they come, where the format does, and the rest at the end."""

    def __init__(self, flags: ReportFlags, baseline: str | None) -> None:
        """Check where reports go.

        Raises:
            UsageError: a report cannot be written where it should go.
        """
        self._flags, self._files = flags, ReportFiles(flags, (baseline,))

    def watched(self, view: AuditListener) -> AuditListener:
        """A listener that prints what is to be printed at once, and passes everything on."""

        def ended(item: AuditItem) -> None:
            if self._flags.format == "jsonl":
                say(to_json(item_object(item), indent=None))
            elif self._files.text_on_stdout and self._flags.quiet:
                say(item_line(item))
            view.ended(item)

        return AuditListener(view.started, ended)

    def finish(self, audit: AuditResult) -> None:
        """Print the report of the whole audit and write the files.

        Raises:
            UsageError: a file could not be written after all.
        """
        report = report_of_audit(audit)
        if self._files.text_on_stdout and not self._flags.quiet:
            console = self._flags.console(None if sys.stdout.isatty() else WIDE)
            print_audit(console, audit, verbose=self._flags.verbose)
        self._files.write(report)
