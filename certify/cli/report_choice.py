"""Which reports go where: one format on stdout, any number of files, progress on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click

from certify.certificates.result import Result
from certify.cli.progress import progress_view
from certify.errors import CertifyError, UnsupportedError, UsageError
from certify.models.writers import ensure_writable
from certify.reports.result_json import error_object, result_object, to_json
from certify.reports.result_markdown import markdown_table
from certify.workflows.listener import Listener

FILE_FORMATS = ("json", "jsonl", "markdown")


class Reports:
    """Collects results, prints them as they come and writes files at the end."""

    def __init__(self, flags: dict[str, Any]) -> None:
        self.format, self.quiet, self.verbose = flags["format_"], flags["quiet"], flags["verbose"]
        self.color = not flags["no_color"] and not os.environ.get("NO_COLOR")
        self.files = [_parsed(entry) for entry in flags["outputs"]]
        self.objects: list[dict[str, Any]] = []

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

    def result(self, result: Result) -> None:
        """Take one result."""
        self.objects.append(result_object(result))
        if self.format == "jsonl":
            click.echo(to_json(self.objects[-1], indent=None))
        elif self.format == "text" and self.quiet:
            click.echo(f"{result.verdict}  {result.model.path or 'live model'}  gap {result.relative_gap:.2e}")
        elif self.format == "text":
            from certify.reports.result_text import print_result

            print_result(self._console(), result, self.verbose)

    def error(self, model: str, error: CertifyError) -> None:
        """Take the failure of one model; the line goes to stderr."""
        named = model in str(error) or not isinstance(error, UnsupportedError)
        message = str(error) if named else f"{model}: {error}"
        self.objects.append(error_object(model, error.code, int(error.exit_code), message))
        if self.format == "jsonl":
            click.echo(to_json(self.objects[-1], indent=None))
        click.echo(f"certify: error: {'' if named else f'{model}: '}{error.report}", err=True)

    def _finish(self) -> None:
        if self.format == "json":
            click.echo(self._document())
        if self.format == "markdown":
            click.echo(markdown_table(self.objects))
        if self.format == "text" and not self.quiet and len(self.objects) > 1:
            from certify.reports.result_text import print_summary

            print_summary(self._console(), [entry["verdict"] or "failed" for entry in self.objects])
        for kind, path in self.files:
            Path(path).write_text(self._content(kind) + "\n", encoding="utf-8")

    def _content(self, kind: str) -> str:
        if kind == "jsonl":
            return "\n".join(to_json(entry, indent=None) for entry in self.objects)
        return self._document() if kind == "json" else markdown_table(self.objects)

    def _document(self) -> str:
        return "\n".join(to_json(entry) for entry in self.objects) if len(self.objects) == 1 else _array(self.objects)

    def _console(self) -> Any:  # noqa: ANN401
        from rich.console import Console

        return Console(file=sys.stdout, no_color=not self.color, highlight=False)


def _array(objects: list[dict[str, Any]]) -> str:
    return "[\n" + ",\n".join(to_json(entry) for entry in objects) + "\n]"


def _parsed(entry: str) -> tuple[str, str]:
    kind, separator, path = entry.partition("=")
    if not separator or not path:
        raise UsageError(f"--output {entry!r}: write FORMAT=PATH, for example json=result.json")
    if kind not in FILE_FORMATS:
        raise UsageError(f"--output {entry!r}: unknown format '{kind}'; known: {', '.join(FILE_FORMATS)}")
    ensure_writable(path)
    return kind, path
