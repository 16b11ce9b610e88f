"""Everything that can go wrong in a way the user can mend, each kind with its exit code."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Process exit codes, a contract with pipelines."""

    OK = 0
    NOT_CERTIFIED = 1
    USAGE = 2
    UNDECIDED = 3
    UNSUPPORTED = 4
    REFUSED = 5
    INTERNAL = 70
    INTERRUPTED = 130


class CertifyError(Exception):
    """Base of all errors that `certify` reports as one clear line.

    Attributes:
        code: reason code, explained by `certify explain CODE`.
        exit_code: the process exit code of this kind of error.
        shown: the message as a terminal shows it, with the source line and a caret under it where there is one.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL
    default_code: ClassVar[str] = "internal"

    def __init__(self, message: str, code: str | None = None, shown: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.shown = shown or message

    @property
    def report(self) -> str:
        """The text for a terminal: `shown`, with the code at the end of its first line."""
        first, newline, rest = self.shown.partition("\n")
        return f"{first}  [{self.code}]{newline}{rest}"


class UsageError(CertifyError):
    """A flag, a problem file or a path is wrong; nothing was computed."""

    exit_code = ExitCode.USAGE
    default_code = "usage"


class UnsupportedError(CertifyError):
    """A hypothesis of the theory fails: the message says which layer or term and what would mend it."""

    exit_code = ExitCode.UNSUPPORTED
    default_code = "unsupported"


class RefusedError(CertifyError):
    """An input file is unsafe, corrupt, non-finite or over a limit."""

    exit_code = ExitCode.REFUSED
    default_code = "refused-input"
