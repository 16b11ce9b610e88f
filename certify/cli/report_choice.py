"""Which reports go where: one format on stdout, any number of files, progress on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Any, Self

import click

from certify.certificates.growth_report import GrowthReport, GrowthRound
from certify.certificates.result import Result
from certify.cli.progress import progress_view
from certify.cli.report_files import ReportFiles
from certify.errors import CertifyError, UnsupportedError, UsageError
from certify.reports import phrases
from certify.reports.formats import FORMATS
from certify.reports.report import Content, Entry, Failure, Place, Report, uniquely_named
from certify.reports.result_json import error_object, result_object, to_json
from certify.workflows.listener import Listener

# Flags, and files that come with them, that a run writes beside its reports.
WRITTEN = ("certificate", "output_model", "companion", "state", "plot")


class Reports:
    """Collects results, prints them as they come and writes files at the end."""

    def __init__(self, flags: dict[str, Any], models: Sequence[str] = ()) -> None:
        """Check where reports go; `models` are those asked for, so that an early end is told from a complete run."""
        self.format, self.quiet, self.verbose = flags["format_"], flags["quiet"], flags["verbose"]
        self.color = not flags["no_color"] and not os.environ.get("NO_COLOR")
        self.files = ReportFiles(flags["outputs"], tuple(flags.get(name) for name in WRITTEN))
        if self.files.on_stdout and self.format != "text":
            raise UsageError(f"--format {self.format} and an --output to - both take standard output; give one a path")
        self.models = tuple(models)
        self.entries: list[Entry] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Partial results are written on an interrupt as well.
        if kind is None or issubclass(kind, KeyboardInterrupt | click.exceptions.Abort):
            self._finish()

    @contextmanager
    def progress(self, model: str) -> Iterator[Listener]:
        """A listener that shows progress on stderr for one model."""
        with progress_view(model, quiet=self.quiet, color=self.color) as listener:
            yield listener

    def result(self, result: Result, exit_code: int, more: Content = MappingProxyType({})) -> None:
        """Take one result; `more` stands beside it in JSON."""
        path = result.model.path or "live model"
        place, seconds = Place(path), result.seconds.total
        self._add(Entry(path, result, {**result_object(result), **more}, place, exit_code, seconds=seconds))
        if self.format != "text" or self.files.on_stdout:
            return
        if self.quiet:
            click.echo(f"{result.verdict}  {path}  gap {phrases.relative_gap(result)}")
        else:
            from certify.reports.result_text import print_result

            print_result(self._console(), result, self.verbose)

    def round(self, row: GrowthRound) -> None:
        """Take one round of a growth."""
        if self.format == "jsonl":
            from certify.reports.growth_json import round_object

            click.echo(to_json(round_object(row), indent=None))

    def grown(self, result: Result, growth: GrowthReport, exit_code: int) -> None:
        """Take the result of a growth."""
        from certify.reports.growth_json import growth_object

        self.result(result, exit_code, {"growth": growth_object(growth)})
        if self.format == "text" and not self.quiet and not self.files.on_stdout:
            from certify.reports.growth_text import print_growth

            print_growth(self._console(), growth)

    def error(self, model: str, error: CertifyError) -> None:
        """Take the failure of one model; the line goes to stderr."""
        named = model in str(error) or not isinstance(error, UnsupportedError)
        message = str(error) if named else f"{model}: {error}"
        code = int(error.exit_code)
        content: Content = error_object(model, error.code, code, message)
        self._add(Entry(model, Failure(error.code, message), content, Place(model), code))
        click.echo(f"certify: error: {'' if named else f'{model}: '}{error.report}", err=True)

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        if self.format == "jsonl":
            click.echo(to_json(entry.content, indent=None))

    def _finish(self) -> None:
        report = self._report()
        if self.format in ("json", "markdown"):
            click.echo(FORMATS[self.format](report), nl=False)
        if self.format == "text" and not self.quiet and not self.files.on_stdout and len(report.entries) > 1:
            from certify.reports.result_text import print_summary

            print_summary(self._console(), report)
        self.files.write(report)

    def _report(self) -> Report:
        names = uniquely_named([entry.name for entry in self.entries])
        entries = tuple(replace(entry, name=name) for entry, name in zip(self.entries, names, strict=True))
        contents = [entry.content for entry in entries]
        document = contents[0] if len(contents) == 1 else contents
        return Report(entries, document, left_out=self.models[len(entries) :])

    def _console(self) -> Any:  # noqa: ANN401
        from rich.console import Console

        return Console(file=sys.stdout, no_color=not self.color, highlight=False)
