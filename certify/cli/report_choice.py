"""Which reports go where: one format on stdout, any number of files, progress on stderr."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import MappingProxyType
from typing import Self, final

import click

from certify.certificates.growth_report import GrowthReport, GrowthRound
from certify.certificates.result import Result
from certify.cli.flags import ReportFlags
from certify.cli.progress import progress_view
from certify.cli.report_files import ReportFiles
from certify.errors import CertifyError, UnsupportedError
from certify.progress import Listener
from certify.reports import phrases
from certify.reports.report import Content, Entry, Failure, Place, Report, uniquely_named
from certify.reports.result_json import error_object, result_object, to_json
from certify.reports.terminal import say


@final
class Reports:
    """Collects results, prints them as they come and writes files at the end."""

    def __init__(self, flags: ReportFlags, written: Iterable[str | None], models: Sequence[str] = ()) -> None:
        """Check where reports go; `written` are paths that the run writes beside them.

        The models are those asked for, so that an early end is told from a complete run.

        Raises:
            UsageError: a report cannot be written where it should go.
        """
        self.files = ReportFiles(flags, written)
        self._flags, self._models = flags, tuple(models)
        self._entries: list[Entry] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        # Partial results are written on an interrupt as well.
        if kind is None or issubclass(kind, KeyboardInterrupt | click.exceptions.Abort):
            report = self._report()
            if self.files.text_on_stdout and not self._flags.quiet and len(report.entries) > 1:
                from certify.reports.result_text import print_summary

                print_summary(self._flags.console(), report)
            self.files.write(report)

    def progress(self, model: str) -> AbstractContextManager[Listener]:
        """A listener that shows progress on stderr for one model."""
        return progress_view(model, quiet=self._flags.quiet, color=self._flags.color)

    def result(self, result: Result, exit_code: int, more: Content = MappingProxyType({})) -> None:
        """Take one result; `more` stands beside it in JSON."""
        path = result.model.path or "live model"
        place, seconds = Place(path), result.seconds.total
        self._add(Entry(path, result, {**result_object(result), **more}, place, exit_code, seconds=seconds))
        if not self.files.text_on_stdout:
            return
        if self._flags.quiet:
            differs = "".join(f"  ({departure})" for departure in result.departures)
            say(f"{result.verdict}  {path}  gap {phrases.relative_gap(result)}{differs}")
        else:
            from certify.reports.result_text import print_result

            print_result(self._flags.console(), result, verbose=self._flags.verbose)

    def round(self, row: GrowthRound) -> None:
        """Take one round of a growth."""
        if self._flags.format == "jsonl":
            from certify.reports.growth_json import round_object

            say(to_json(round_object(row), indent=None))

    def grown(self, result: Result, growth: GrowthReport, exit_code: int) -> None:
        """Take the result of a growth."""
        from certify.reports.growth_json import growth_object

        self.result(result, exit_code, {"growth": growth_object(growth)})
        if self.files.text_on_stdout and not self._flags.quiet:
            from certify.reports.growth_text import print_growth

            print_growth(self._flags.console(), growth)

    def error(self, model: str, error: CertifyError) -> None:
        """Take the failure of one model; the line goes to stderr."""
        named = model in str(error) or not isinstance(error, UnsupportedError)
        message = str(error) if named else f"{model}: {error}"
        code = int(error.exit_code)
        content: Content = error_object(model, error.code, code, message)
        self._add(Entry(model, Failure(error.code, message), content, Place(model), code))
        say(f"certify: error: {'' if named else f'{model}: '}{error.report}", err=True)

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        if self._flags.format == "jsonl":
            say(to_json(entry.content, indent=None))

    def _report(self) -> Report:
        names = uniquely_named([entry.name for entry in self._entries])
        entries = tuple(replace(entry, name=name) for entry, name in zip(self._entries, names, strict=True))
        contents = [entry.content for entry in entries]
        document = contents[0] if len(contents) == 1 else contents
        return Report(entries, document, left_out=self._models[len(entries) :])
