"""`--output FORMAT=PATH`: checked before any work, written whole at the end."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import final

from certify.cli.flags import ReportFlags
from certify.errors import UsageError
from certify.reports.formats import FORMATS
from certify.reports.report import Entry, Report
from certify.reports.step_summary import LIMIT_BYTES, step_summary
from certify.reports.terminal import inert, say
from certify.whole_file import ensure_writable, write_whole

# As a path: standard output, in place of the text.
STDOUT = "-"


@final
class ReportFiles:
    """The reports asked for by `--output`.

    Attributes:
        text_on_stdout: whether standard output has the text, and neither one of them nor another format.
        paths: of those that are files.
    """

    def __init__(self, flags: ReportFlags, others: Iterable[str | None]) -> None:
        """Check formats and paths; `others` are further paths that the run writes.

        Raises:
            UsageError: a format is unknown, a path cannot be written, or is given twice.
        """
        self._format = flags.format
        self._files = [_parsed(entry) for entry in flags.outputs]
        self.paths = [path for _, path in self._files if path != STDOUT]
        _require_distinct([path for _, path in self._files] + [path for path in others if path])
        on_stdout = len(self.paths) < len(self._files)
        if on_stdout and flags.format != "text":
            raise UsageError(f"--format {flags.format} and an --output to - both take standard output; give one a path")
        self.text_on_stdout = flags.format == "text" and not on_stdout

    def write(self, report: Report) -> None:
        """Print the report where stdout has a format for it, and write the others; each file is whole or as it was.

        Raises:
            UsageError: files could not be written after all; the others were.
        """
        if self._format in ("json", "markdown"):
            say(FORMATS[self._format](report), nl=False)
        report = replace(report, entries=tuple(map(_placed, report.entries)))
        faults = [fault for kind, path in self._files if (fault := _write(FORMATS[kind](report), path))]
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary and any(kind == "github" for kind, _ in self._files):
            faults += _append_summary(report, Path(summary))
        if faults:
            raise UsageError("\n".join(faults), code="unwritable")


def _placed(entry: Entry) -> Entry:
    """The entry with its place as the root of the checkout sees it, where GitHub and code scanning look files up."""
    root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
    found = Path(entry.place.path).resolve()
    path = found.relative_to(root).as_posix() if found.is_relative_to(root) else str(found)
    return replace(entry, place=replace(entry.place, path=path))


def _parsed(entry: str) -> tuple[str, str]:
    kind, separator, path = entry.partition("=")
    if not separator or not path:
        raise UsageError(f"--output {entry!r}: write FORMAT=PATH, for example json=result.json")
    if kind not in FORMATS:
        raise UsageError(f"--output {entry!r}: unknown format '{kind}'; known: {', '.join(FORMATS)}")
    if path != STDOUT:
        ensure_writable(path)
    return kind, path


def _require_distinct(paths: list[str]) -> None:
    seen: set[str] = set()
    for path in paths:
        place = path if path == STDOUT else str(Path(path).resolve())
        if place in seen:
            shown = "standard output (-)" if path == STDOUT else path
            raise UsageError(f"{shown} is given for two outputs; each needs its own path")
        seen.add(place)


def _write(text: str, path: str) -> str:
    """Write one report; returns what went wrong, or nothing."""
    if path == STDOUT:
        say(text, nl=False)
        return ""
    try:
        # A name may hold what is no text, as file names can.
        write_whole(path, inert(text).encode())
    except UsageError as error:
        return str(error)
    return ""


def _append_summary(report: Report, path: Path) -> list[str]:
    """Append to the summary of the GitHub step, as far as there is room; returns what went wrong."""
    try:
        taken = path.stat().st_size if path.exists() else 0
        with path.open("ab") as file:
            file.write(inert(step_summary(report, LIMIT_BYTES - taken)).encode())
    except OSError as error:
        return [f"{path}: cannot append the step summary: {error.strerror}"]
    return []
