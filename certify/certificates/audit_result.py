"""The outcome of an audit as one plain value; every report of an audit is made from it alone.

Each item carries its `certify.result/1` object, or the error object of a model that could not be checked, as it came
out of the process that checked it, out of the cache or out of the results file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

from certify.certificates.gravity import OUTCOMES

Expectation = Literal["certified", "improvable", "undecided", "any"]
Origin = Literal["run", "cache", "resumed"]


@final
@dataclass(frozen=True, slots=True)
class AuditItem:
    """One model of an audit, checked.

    Attributes:
        name: unique in the audit, stable from run to run.
        line, column: of the entry in the audit file that the item comes from, from 1.
        failure: why the item counts against the audit, as one sentence; empty if it does not.
        exit_code: of the check itself: 0 certified, 1 improvable, 3 undecided, else the code of its error.
        counted_code: what it adds to the exit code of the audit: 0 where `failure` is empty.
        origin: `run` now, from the `cache`, or `resumed` from an interrupted audit.
        seconds: wall clock from start to end of its process; of the answer where it was not run.
        result: a `certify.result/1` object, or an error object: `verdict` None, `reason`, `message`, `exit_code`,
            `model`.
    """

    name: str
    file: str
    line: int
    column: int
    expect: Expectation
    failure: str
    exit_code: int
    counted_code: int
    origin: Origin
    seconds: float
    result: Mapping[str, Any]

    @property
    def outcome(self) -> str:
        """The verdict, or `failed` where there is none."""
        return self.result["verdict"] or "failed"

    @property
    def met(self) -> bool:
        """Whether the item is as the audit asks."""
        return not self.failure

    @property
    def relative_gap(self) -> float | None:
        """Proven relative gap; None where there is no verdict or the gap is not finite."""
        gap = self.result.get("gap")
        return None if gap is None else gap["relative"]


@final
@dataclass(frozen=True, slots=True)
class AuditResult:
    """A whole audit.

    Attributes:
        items: in the order of the audit file.
        left_out: names of items that were not run: after `--fail-fast`, or after an interrupt.
        interrupted: whether a signal ended it early.
        notes: what a reader should know, one sentence each: what the cache answered, what changed in the baseline.
    """

    file: str
    items: tuple[AuditItem, ...]
    left_out: tuple[str, ...]
    seconds: float
    exit_code: int
    interrupted: bool = False
    notes: tuple[str, ...] = ()

    @property
    def outcomes(self) -> dict[str, int]:
        """How many items came to each of `OUTCOMES`."""
        found = Counter(item.outcome for item in self.items)
        return {outcome: found[outcome] for outcome in OUTCOMES}

    @property
    def origins(self) -> dict[str, int]:
        """How many items were run, taken from the cache and resumed."""
        found = Counter(item.origin for item in self.items)
        return {origin: found[origin] for origin in ("run", "cache", "resumed")}

    @property
    def unmet(self) -> tuple[AuditItem, ...]:
        """The items that count against the audit."""
        return tuple(item for item in self.items if not item.met)
