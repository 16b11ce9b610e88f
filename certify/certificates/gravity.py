"""How grave outcomes are: their order, the exit code of each verdict, and which of several codes counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from certify.errors import ExitCode

# What a model came to, best first: its verdict, or `failed` where there is none.
OUTCOMES = ("certified", "undecided", "improvable", "failed")

VERDICT_CODES = {"certified": ExitCode.OK, "improvable": ExitCode.NOT_CERTIFIED, "undecided": ExitCode.UNDECIDED}
# Names of the exit codes for `--fail-on`, the gravest first.
FAILURES = {
    "internal": ExitCode.INTERNAL,
    "refused": ExitCode.REFUSED,
    "usage": ExitCode.USAGE,
    "unsupported": ExitCode.UNSUPPORTED,
    "not-certified": ExitCode.NOT_CERTIFIED,
    "undecided": ExitCode.UNDECIDED,
}
# Exit codes from the gravest to the least: 70 > 5 > 2 > 4 > 1 > 3 > 0.
GRAVITY = (*FAILURES.values(), ExitCode.OK)


def gravest(codes: Iterable[int], fail_on: Collection[str] = ()) -> ExitCode:
    """The gravest of the codes, 0 where there is none; with `fail_on` only failures of these names count."""
    counted = {FAILURES[name] for name in fail_on} or set(GRAVITY)
    return min((ExitCode(code) for code in codes if code in counted), key=GRAVITY.index, default=ExitCode.OK)
