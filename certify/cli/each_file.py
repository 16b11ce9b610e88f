"""Commands that take several files: a failure of one does not keep the others from being looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from certify.certificates.gravity import gravest
from certify.errors import CertifyError, ExitCode
from certify.reports.terminal import say


def for_each_file(files: Iterable[str], command: Callable[[str], ExitCode]) -> int:
    """Run the command on each file; errors become a line on stderr; returns the gravest exit code."""
    codes = []
    for path in files:
        try:
            codes.append(command(path))
        except CertifyError as error:
            say(f"certify: error: {error.report}", err=True)
            codes.append(error.exit_code)
    return int(gravest(codes))
